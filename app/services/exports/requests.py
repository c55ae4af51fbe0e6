"""Exports that are asked for in the dashboard: a worker writes them, and people watch and download."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, defer

from app.db import Sessions
from app.domain.protocol import Kind
from app.errors import Conflict, LookalikeError, NotFound
from app.models.studies import Export, ExportRequest, Study
from app.queue import defer_export
from app.services import audit
from app.services.exports.export import Format, export_study, file_names
from app.services.exports.queries import EVERYTHING, ExportSelection, Split
from app.services.exports.writers import MANIFEST
from app.services.progress_writer import GivenBack, ProgressWriter, unless_stopping
from app.storage import Storage

log = structlog.get_logger()
_CHUNK = 2**20


def files_of(kind: Kind, form: Format) -> tuple[str, ...]:
    """The files of an export that can be downloaded one by one; the images come in the ZIP file."""
    return (*file_names(kind, form), MANIFEST)


def request_export(
    session: Session, *, study: Study, form: Format = "folder", selection: ExportSelection = EVERYTHING
) -> ExportRequest:
    """Have an export written. Raises Conflict for a draft, which has nothing to export."""
    if study.state == "draft":
        raise Conflict("This study has not been opened yet: there is nothing to export.")
    request = ExportRequest(
        study_id=study.id, requested_by=audit.actor_of(session) or "", form=form, **asdict(selection)
    )
    session.add(request)
    session.flush()
    defer_export(session, request_id=request.id)
    chosen = {name: value for name, value in asdict(selection).items() if value}
    audit.record(session, "asked for an export", study=study, form=form, **chosen)
    return request


def of_study(session: Session, study: Study, *, limit: int = 20) -> Sequence[ExportRequest]:
    """The newest first."""
    wanted = select(ExportRequest).where(ExportRequest.study_id == study.id)
    return session.scalars(wanted.order_by(ExportRequest.id.desc()).limit(limit)).all()


def selection_of(request: ExportRequest) -> ExportSelection:
    return ExportSelection(request.min_votes, cast(Split | None, request.split), request.only_kept)


@dataclass(frozen=True)
class Change:
    """Between an export and the one before it: items kept now and not then, and the other way round."""

    version: int
    before: int
    came: list[int]
    went: list[int]


def change(session: Session, study: Study, *, version: int) -> Change:
    """What a version keeps otherwise than the one before it. Raises NotFound for the first, and for none."""
    wanted = select(Export).where(Export.study_id == study.id, Export.version.in_((version - 1, version)))
    found = {export.version: set(export.kept) for export in session.scalars(wanted)}
    if len(found) < 2:
        raise NotFound(f"There is no version {version} with another before it.")
    now, then = found[version], found[version - 1]
    return Change(version, version - 1, sorted(now - then), sorted(then - now))


def versions(session: Session, study: Study) -> Sequence[Export]:
    """The study's different exports, the newest first, without the numbers of the items they keep."""
    wanted = select(Export).where(Export.study_id == study.id).options(defer(Export.kept, raiseload=True))
    return session.scalars(wanted.order_by(Export.version.desc())).all()


def run(
    sessions: Sessions,
    storage: Storage,
    *,
    folder: Path,
    request_id: int,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Write the export that was asked for; what goes wrong is told where it was asked for. Begun twice, because a
    worker is gone, it goes on where it stopped.

    Raises:
        GivenBack: another worker is to go on. OperationalError: the database is away; to be tried again.
    """
    with sessions.begin() as session:
        request = session.get_one(ExportRequest, request_id)
        if request.state == "done":
            return
        slug = session.get_one(Study, request.study_id).slug
        request.state, request.message, request.ended_at = "running", None, None
        form, selection = cast(Format, request.form), selection_of(request)
    progress = ProgressWriter(lambda _, done, total: _set(sessions, request_id, done=done, total=total))
    out = place_of(folder, slug, request_id)
    try:
        report = unless_stopping(progress, stopping)
        result = export_study(sessions, storage, slug=slug, out=out, report=report, form=form, selection=selection)
    except (GivenBack, OperationalError):
        raise
    except LookalikeError as error:
        _end(sessions, request_id, progress, state="failed", message=error.message)
    except Exception:
        log.exception("an export failed", study=slug)
        sorry = "Something went wrong; the worker's log says what."
        _end(sessions, request_id, progress, state="failed", message=sorry)
        raise
    else:
        _end(sessions, request_id, progress, state="done", version=result.version)


def _end(sessions: Sessions, request_id: int, progress: ProgressWriter, **values: object) -> None:
    if progress.latest is not None:
        _, values["done"], values["total"] = progress.latest
    _set(sessions, request_id, ended_at=func.clock_timestamp(), **values)


def _set(sessions: Sessions, request_id: int, **values: object) -> None:
    with sessions.begin() as session:
        session.execute(update(ExportRequest).where(ExportRequest.id == request_id).values(**values))


def place_of(folder: Path, slug: str, request_id: int) -> Path:
    return folder / f"{slug}-{request_id}"


def finished(session: Session, folder: Path, *, study: Study, request_id: int) -> Path:
    """The folder of a finished export. Raises NotFound, also if it is no longer (or not on this machine)."""
    request = session.get(ExportRequest, request_id)
    place = place_of(folder, study.slug, request_id)
    if request is None or request.study_id != study.id or request.state != "done":
        raise NotFound("There is no such export.")
    if not place.is_dir():
        raise NotFound("The files of this export are no longer on this machine. Export again.")
    return place


class _Outlet:
    """What a ZIP file is written to, to be handed on piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(place: Path) -> Iterator[bytes]:
    """The folder as a ZIP file, made while it is being sent. Nothing is compressed: images and Parquet already are."""
    outlet = _Outlet()
    with zipfile.ZipFile(cast(IO[bytes], outlet), "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(place.rglob("*")):
            if path.is_file():
                with (
                    path.open("rb") as file,
                    archive.open(str(path.relative_to(place)), "w", force_zip64=True) as entry,
                ):
                    while chunk := file.read(_CHUNK):
                        entry.write(chunk)
                        yield outlet.take()
    yield outlet.take()
