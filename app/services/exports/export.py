"""Exporting a study: complete or absent, in constant memory, byte-identical for the same state."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from psycopg.errors import LockNotAvailable
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.protocol import Kind, Protocol
from app.errors import Conflict
from app.models.studies import Export, Study
from app.services import study_lookup
from app.services.exports import bapps, layout, tables
from app.services.exports.bapps import Judged
from app.services.exports.card import card
from app.services.exports.manifest import file_sha256, write_manifest
from app.services.exports.queries import EVERYTHING, ExportSelection, Snapshot
from app.services.exports.shards import tar_features, write_shards
from app.services.exports.writers import MANIFEST, ExportWriter, export_writer, require_free
from app.services.study_lookup import current_version, protocol_version
from app.storage import Storage
from datafiles.nights import NIGHTS_COLUMNS
from datafiles.writing import write_table

if TYPE_CHECKING:
    from app.storage.s3 import Bucket

Format = Literal["folder", "webdataset", "parquet", "bapps"]
Report = Callable[[str, int, int], None]

_IN_FOLDER: dict[Kind, tuple[str, ...]] = {"2afc": ("data.csv", "unfiltered.csv"), "jnd": ("jnd.csv",)}
_IN_SHARDS: dict[Kind, tuple[str, ...]] = {"2afc": (), "jnd": ("jnd.csv",)}
_ALWAYS = ("items.parquet", "judgments.parquet", "assignments.parquet", "README.md")

AT_A_TIME = 64
"""Items whose images are copied between two notes of how far the export has come."""


def file_names(kind: Kind, form: Format) -> tuple[str, ...]:
    """The files of an export beside its images and the manifest."""
    return (*(_IN_FOLDER if form == "folder" else _IN_SHARDS)[kind], *_ALWAYS)


@dataclass(frozen=True)
class ExportResult:
    """`version` counts the study's different exports: the same state in the same format has the same version."""

    path: str
    version: int
    manifest_sha256: str
    counts: dict[str, int]


def export_study(
    sessions: Sessions,
    storage: Storage,
    *,
    slug: str,
    out: "Path | Bucket",
    report: Report,
    form: Format = "folder",
    selection: ExportSelection = EVERYTHING,
) -> ExportResult:
    """Write a study's export to `out`, which must not exist or be empty. An interrupted one is taken up again.

    Raises:
        NotFound: no such study. BadInput: `out` is in use. Conflict: another export is writing there.
        Unavailable: the disk is full (nothing is left behind), or the storage is not to be had.
    """
    with _alone(sessions, out):
        require_free(out)
        with sessions() as session:
            study = study_lookup.by_slug(session, slug)  # before any folder is made
            of: dict[str, Any] = {"study": study.id, "name": slug, "seed": study.seed, "format": form}
            if selection != EVERYTHING:
                of |= {"choice": asdict(selection)}
        with export_writer(out, of=of) as writer:
            with sessions.begin() as session:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                study = study_lookup.by_slug(session, slug)
                head, kept, manifest_sha256 = _write(session, storage, study, writer, form, selection, report)
            with sessions.begin() as session:
                version = _remember(session, slug, manifest_sha256, head["counts"], kept)
                writer.finish()  # last, so that what is there is also on record
    return ExportResult(str(out), version, manifest_sha256, head["counts"])


@contextmanager
def _alone(sessions: Sessions, out: "Path | Bucket") -> Iterator[None]:
    """A lock on the place that ends with this process, however that ends."""
    place = str(out.resolve() if isinstance(out, Path) else out)
    with sessions.begin() as session:
        # The database needs a moment to see that a process which held the lock is gone.
        session.execute(text("SET LOCAL lock_timeout = '2s'"))
        try:
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 0))")
            session.execute(lock, {"place": f"export to {place}"})
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            message = f"Another export is being written to {place}. Wait for it, or choose another place."
            raise Conflict(message) from None
        yield


def _write(
    session: Session,
    storage: Storage,
    study: Study,
    writer: ExportWriter,
    form: Format,
    selection: ExportSelection,
    report: Report,
) -> tuple[dict[str, Any], list[int], str]:
    """Write every file but the manifest, which is left in the writer's scratch; returns its head, the numbers of the
    items kept, and its sha256."""
    number = current_version(session, study.id)
    agreed = protocol_version(session, study.id, number)
    protocol = selection.of(agreed)
    status, version = study_lookup.status_word(study), installed_version("lookalike")
    versions = {"lookalike": version, "pyarrow": installed_version("pyarrow")}
    with Snapshot(session, study_id=study.id, protocol=agreed, selection=selection) as snapshot:
        counts = snapshot.counts()

        def writing(done: int, total: int = counts["items"]) -> None:
            report("writing images", done, total)

        if form == "folder":
            _write_images(writer, storage, snapshot, writing)
        elif form == "bapps":
            total = sum(1 for _ in bapps.judged(snapshot, kind=protocol.kind, study=study.slug))
            judged = bapps.judged(snapshot, kind=protocol.kind, study=study.slug)
            _write_bapps(writer, storage, judged, lambda done: writing(done, total))
        else:
            write_shards(writer, snapshot, form, storage.get, versions=versions, report=writing)
        names = file_names(protocol.kind, form)
        counts |= _write_tables(writer.scratch, names, snapshot, protocol)
        features = tar_features(snapshot) if form == "webdataset" else {}
        readme = card(slug=study.slug, status=status, protocol=protocol, counts=counts, version=version,
                      form=form, shards=sorted(writer.progress.shards), features=features)  # fmt: skip
        (writer.scratch / "README.md").write_text(readme, encoding="utf-8")
        head: dict[str, Any] = {
            "study": {"name": study.slug, "seed": study.seed, "status": status, "round": study.round},
            "protocol": {"version": number, "document": agreed.model_dump(mode="json")},
            "filters": {"min_votes": protocol.min_votes, "drop": protocol.drop},
            "counts": counts,
            "versions": versions,
        }
        if form != "folder":
            head["format"] = form
        if selection.split is not None:
            head["filters"]["split"] = selection.split
        if selection.only_kept:
            head["filters"]["status"] = "kept"
        hashes = [(name, file_sha256(writer.scratch / name)) for name in names]
        for name in names:
            writer.put(name)
        if form == "folder":
            contents = _image_hashes(snapshot)
        elif form == "bapps":
            judged = bapps.judged(snapshot, kind=protocol.kind, study=study.slug)
            contents = itertools.chain.from_iterable(one.hashes() for one in judged)
        else:
            contents = _shard_hashes(writer)
        manifest_sha256 = write_manifest(writer.scratch / MANIFEST, head, itertools.chain(hashes, contents))
        return head, snapshot.kept(), manifest_sha256


def _write_images(writer: ExportWriter, storage: Storage, snapshot: Snapshot, report: Callable[[int], None]) -> None:
    """Every item's images under their names; those that an interrupted export has put already are not put again."""
    told, done, there = hashlib.sha256(), 0, _items_there(writer, snapshot)
    rows = snapshot.pool()
    report(0)
    while batch := list(itertools.islice(rows, AT_A_TIME)):
        files = [file for row in batch for file in _image_files(row)]
        told.update(repr(files).encode())
        if done >= there:
            writer.put_images(files, storage.get)
            writer.progress.items, writer.progress.digest = done + len(batch), told.hexdigest()
            writer.save_progress()
        done += len(batch)
        report(done)


def _write_bapps(
    writer: ExportWriter, storage: Storage, judged: Iterator[Judged], report: Callable[[int], None]
) -> None:
    done = 0
    report(0)
    while batch := list(itertools.islice(judged, AT_A_TIME)):
        writer.put_images([file for one in batch for file in one.images], storage.get)
        for one in batch:
            path = writer.scratch / one.share_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.share_file)
            writer.put(one.share_name)
        done += len(batch)
        report(done)


def _items_there(writer: ExportWriter, snapshot: Snapshot) -> int:
    """How many of the first items have their images already: none, if these are not what they were."""
    told, rows = hashlib.sha256(), itertools.islice(snapshot.pool(), writer.progress.items)
    while batch := list(itertools.islice(rows, AT_A_TIME)):
        told.update(repr([file for row in batch for file in _image_files(row)]).encode())
    return writer.progress.items if told.hexdigest() == writer.progress.digest else 0


def _image_files(row: Any) -> Iterator[tuple[str, str]]:
    where = layout.paths(row)
    yield where.reference, row.reference
    yield where.candidate_0, row.candidate_0
    if where.candidate_1 is not None:
        yield where.candidate_1, row.candidate_1


def _image_hashes(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for row in snapshot.pool():
        yield from _image_files(row)


def _shard_hashes(writer: ExportWriter) -> Iterator[tuple[str, str]]:
    for name, (_, sha256) in sorted(writer.progress.shards.items()):
        yield name, sha256


def _write_tables(folder: Path, names: Iterable[str], snapshot: Snapshot, protocol: Protocol) -> dict[str, int]:
    """Write the CSV and parquet files; returns how many judgments and assignments they hold."""
    if "jnd.csv" in names:
        _write_csv(folder / "jnd.csv", layout.PAIR_COLUMNS, map(layout.pair_row, snapshot.pairs()))
    if "data.csv" in names:
        as_shares = not protocol.has_filter
        kept = (layout.kept_row(row, as_shares=as_shares) for row in snapshot.pool() if row.status == "kept")
        _write_csv(folder / "data.csv", NIGHTS_COLUMNS, kept)
        _write_csv(folder / "unfiltered.csv", layout.UNFILTERED_COLUMNS, map(layout.unfiltered_row, snapshot.pool()))
    tables.write_parquet(folder / "items.parquet", tables.ITEMS, snapshot.pool())
    return {
        "judgments": tables.write_parquet(folder / "judgments.parquet", tables.JUDGMENTS, snapshot.judgments()),
        "assignments": tables.write_parquet(folder / "assignments.parquet", tables.ASSIGNMENTS, snapshot.assignments()),
    }


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_table(file, columns, rows)


def _remember(session: Session, slug: str, manifest_sha256: str, counts: dict[str, int], kept: list[int]) -> int:
    study = study_lookup.by_slug(session, slug, lock=True)
    known = session.scalar(
        select(Export.version).where(Export.study_id == study.id, Export.manifest_sha256 == manifest_sha256)
    )
    if known is not None:
        return known
    last = session.scalar(select(func.max(Export.version)).where(Export.study_id == study.id)) or 0
    session.add(Export(study_id=study.id, version=last + 1, manifest_sha256=manifest_sha256, counts=counts, kept=kept))
    return last + 1
