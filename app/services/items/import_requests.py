"""Imports that are asked for in the dashboard or by a program: a worker does them, and people watch.

One goes on where it was: a worker that is gone is followed by another, and what failed or was stopped can be asked for
again. Rows that are in are not repeated.
"""

import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import BadInput, Conflict, LookalikeError, NotFound
from app.models.studies import UNDER_WAY, ImportRequest, Study
from app.queue import defer_import
from app.services import audit, study_lookup
from app.services.items.archives import unpack
from app.services.items.import_sources import FolderSource, ImportSource, require_table
from app.services.items.imports import ImportResult, Report, import_items
from app.services.items.item_files import read_table, the_table
from app.services.items.items import require_draft, require_no_import
from app.services.items.uploads import Uploads
from app.services.progress_writer import GivenBack, ProgressWriter, unless_stopping
from app.storage import Storage

log = structlog.get_logger()
_LONGEST_NAME = 200
_ABANDONED = timedelta(days=1)
"""How old an upload is that no import knows, once none will: it is kept before its import is asked for."""
_IS_UNDER_WAY = ImportRequest.state.in_(UNDER_WAY)


class _Stopped(Exception):
    """A person stopped it."""


def request_import(
    session: Session, place: ImportSource, *, study: Study, source: str, normalise: bool = False
) -> ImportRequest:
    """Have a folder of the place imported.

    Raises:
        BadInput: there is no such folder, or not one table in it. Conflict: the study has started, or an import into
        it is under way. Unavailable: the place cannot be reached.
    """
    source = source.removesuffix("/")
    require_table(place, source)
    return _enqueue(session, study, source=source, normalise=normalise)


def request_upload(
    session: Session, uploads: Uploads, *, study: Study, name: str, archive: BinaryIO, normalise: bool = False
) -> ImportRequest:
    """Have a ZIP file imported, which is kept until then.

    Args:
        name: what people call it.

    Raises:
        BadInput: it is no ZIP file. Conflict: the study has started, or an import into it is under way.
        Unavailable: it cannot be kept.
    """
    if not zipfile.is_zipfile(archive):  # looks at its end only
        raise BadInput("This is not a ZIP file.")
    archive.seek(0)
    require_draft(study)
    require_no_import(session, study)
    key = uploads.put(archive)  # before anything is locked: it may take a while
    try:
        shown = "".join(letter for letter in name[-_LONGEST_NAME:] if letter.isprintable()).strip() or "the ZIP file"
        return _enqueue(session, study, source=shown, upload=key, normalise=normalise)
    except Exception:
        uploads.delete(key)
        raise


def _enqueue(
    session: Session, study: Study, *, source: str, normalise: bool, upload: str | None = None
) -> ImportRequest:
    study = study_lookup.by_slug(session, study.slug, lock=True)
    require_draft(study)
    require_no_import(session, study)
    by = audit.actor_of(session) or ""
    request = ImportRequest(study_id=study.id, requested_by=by, source=source, upload=upload, normalise=normalise)
    session.add(request)
    session.flush()
    defer_import(session, request_id=request.id)
    audit.record(session, "asked for an import", study=study, subject=source, normalise=normalise)
    return request


def of_study(session: Session, study: Study, *, limit: int = 20) -> Sequence[ImportRequest]:
    """The newest first."""
    wanted = select(ImportRequest).where(ImportRequest.study_id == study.id)
    return session.scalars(wanted.order_by(ImportRequest.id.desc()).limit(limit)).all()


def by_id(session: Session, study: Study, request_id: int) -> ImportRequest:
    """Raises NotFound, also for another study's."""
    request = session.get(ImportRequest, request_id)
    if request is None or request.study_id != study.id:
        raise NotFound(f"The study {study.slug!r} has no import {request_id}.")
    return request


def stop(session: Session, *, study: Study) -> ImportRequest:
    """Stop the import that is under way; what is in by then stays.

    Raises:
        Conflict: none is.
    """
    wanted = select(ImportRequest).where(ImportRequest.study_id == study.id, _IS_UNDER_WAY)
    request = session.scalar(wanted.with_for_update())
    if request is None:
        raise Conflict(f"No import into {study.slug!r} is under way.")
    by = audit.actor_of(session)
    request.state, request.ended_at = "failed", func.clock_timestamp()
    request.message = f"Stopped{f' by {by}' if by else ''}. What was in by then stays."
    audit.record(session, "stopped an import", study=study, subject=request.source)
    session.flush()
    return request


@dataclass(frozen=True)
class _Task:
    slug: str
    source: str
    upload: str | None
    normalise: bool


def run(
    sessions: Sessions,
    storage: Storage,
    place: ImportSource,
    uploads: Uploads,
    *,
    incoming: Path,
    request_id: int,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Import what was asked for; what goes wrong is told where it was asked for.

    Args:
        incoming: where what is far away is copied to, and what is packed unpacked.
        stopping: whether this worker is to stop.

    Raises:
        GivenBack: another worker is to go on. OperationalError: the database is away; to be tried again.
    """
    task = _begin(sessions, request_id)
    if task is None:
        _tidy(sessions, uploads, incoming)
        return
    progress = _progress(sessions, request_id)
    report = unless_stopping(progress, stopping)
    try:
        table = _fetch(place, uploads, task, incoming / str(request_id), report)
        result = _import(sessions, storage, task=task, table=table, report=report)
        _end(sessions, request_id, progress, state="done", items=result.items, already_there=result.already_there)
    except (GivenBack, OperationalError):
        raise
    except _Stopped:
        pass
    except LookalikeError as error:
        _end(sessions, request_id, progress, state="failed", message=error.message)
    except Exception:
        log.exception("an import failed", study=task.slug)
        sorry = "Something went wrong; the worker's log says what."
        _end(sessions, request_id, progress, state="failed", message=sorry)
    _tidy(sessions, uploads, incoming)


def _begin(sessions: Sessions, request_id: int) -> _Task | None:
    """What is to be done; None if it is over, as it may be for one that took it over."""
    with sessions.begin() as session:
        request = session.get_one(ImportRequest, request_id, with_for_update=True)
        if request.state not in UNDER_WAY:
            return None
        request.state = "running"
        slug = session.get_one(Study, request.study_id).slug
        return _Task(slug, request.source, request.upload, request.normalise)


def _fetch(place: ImportSource, uploads: Uploads, task: _Task, into: Path, report: Report) -> Path:
    """The table, with the images it names, as files of this machine."""
    if task.upload is None:
        folder = place.fetch(task.source, into=into, report=report)
        # Looked at by itself: a table that is a link out of the folder is none of it.
        return folder / the_table(FolderSource(folder).look("").tables, place=f"The folder {task.source!r}")
    shutil.rmtree(into, ignore_errors=True)  # what another worker began to unpack
    unpacked = into.resolve() / "files"
    unpacked.mkdir(parents=True)
    return unpack(uploads.fetch(task.upload, into), unpacked, report=report)


def _import(sessions: Sessions, storage: Storage, *, task: _Task, table: Path, report: Report) -> ImportResult:
    try:
        file, normalise = read_table(table), task.normalise
        return import_items(sessions, storage, slug=task.slug, file=file, normalise=normalise, report=report)
    except BadInput as error:  # files are called by their place below the table's folder
        raise BadInput(error.message.replace(f"{table.parent}/", "")) from None


def _progress(sessions: Sessions, request_id: int) -> ProgressWriter:
    """Writes down how far it has come, and sees there whether a person stopped it."""

    def write(what: str, done: int, total: int) -> None:
        if not _set(sessions, request_id, stage=what, done=done, total=total):
            raise _Stopped

    return ProgressWriter(write)


def _end(sessions: Sessions, request_id: int, progress: ProgressWriter, **values: object) -> None:
    if progress.latest is not None:
        values["stage"], values["done"], values["total"] = progress.latest
    _set(sessions, request_id, ended_at=func.clock_timestamp(), **values)


def _set(sessions: Sessions, request_id: int, **values: object) -> bool:
    """False if it is over already."""
    running = update(ImportRequest).where(ImportRequest.id == request_id, ImportRequest.state == "running")
    with sessions.begin() as session:
        return session.scalar(running.values(**values).returning(ImportRequest.id)) is not None


def _tidy(sessions: Sessions, uploads: Uploads, incoming: Path) -> None:
    """Remove the copies of imports that are over, also of those that this machine began and another one ended; and
    uploads that no import knows, once it is sure that none will."""
    with sessions() as session:
        found = session.execute(select(ImportRequest.id, ImportRequest.upload).where(_IS_UNDER_WAY))
        under_way = {str(request.id): request.upload for request in found}
        stored = dict(uploads.stored())
        known = set(session.scalars(select(ImportRequest.upload).where(ImportRequest.upload.in_(stored))))
    for folder in incoming.glob("*"):
        if folder.name not in under_way:
            shutil.rmtree(folder, ignore_errors=True)
    long_ago = datetime.now(UTC) - _ABANDONED
    for key, since in stored.items():
        if key not in under_way.values() and (key in known or since < long_ago):
            uploads.delete(key)
