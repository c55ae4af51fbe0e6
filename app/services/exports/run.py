"""Exporting a study: complete or absent, in constant memory, byte-identical for the same state."""

import csv
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.protocol import Kind, Protocol
from app.errors import BadInput, Unavailable
from app.models.studies import Export, Study
from app.services import studies
from app.services.exports import layout, tables
from app.services.exports.card import card
from app.services.exports.manifest import file_sha256, write_manifest
from app.services.exports.queries import Snapshot
from app.services.item_files import NIGHTS_COLUMNS
from app.services.protocols import current_version, protocol_version
from app.storage import Storage

TABLES: dict[Kind, tuple[str, ...]] = {
    "2afc": ("data.csv", "unfiltered.csv", "items.parquet", "judgments.parquet", "assignments.parquet", "README.md"),
    "jnd": ("jnd.csv", "items.parquet", "judgments.parquet", "assignments.parquet", "README.md"),
}
_BLOBS = ".blobs"


@dataclass(frozen=True)
class ExportResult:
    """`version` counts the study's different exports: the same state has the same version."""

    path: str
    version: int
    manifest_sha256: str
    counts: dict[str, int]


def export_study(
    sessions: Sessions, storage: Storage, *, slug: str, out: Path, report: Callable[[str, int, int], None]
) -> ExportResult:
    """Write a study's export to `out`, which must not exist or be empty.

    Raises:
        NotFound: no such study. BadInput: `out` is in use.
        Unavailable: the disk is full; nothing is left behind.
    """
    place = out.resolve()
    _require_free(place)
    with sessions() as session:
        studies.by_slug(session, slug)  # before any folder is made
    with _draft(place) as draft:
        with sessions.begin() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            head, kept, manifest_sha256 = _write(session, storage, studies.by_slug(session, slug), draft, report)
        with sessions.begin() as session:
            version = _remember(session, slug, manifest_sha256, head["counts"], kept)
            os.replace(draft, place)  # last, so that what has its name is also on record
    return ExportResult(str(out), version, manifest_sha256, head["counts"])


def _require_free(place: Path) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise BadInput(f"{place} is not an empty folder. Choose another, or move it away.")
    for parent in place.parents:
        if parent.exists() and not parent.is_dir():
            raise BadInput(f"{place} cannot be a folder: {parent} is a file.")


@contextmanager
def _draft(place: Path) -> Iterator[Path]:
    """A folder beside `place` to write in and rename; gone afterwards if it was not."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        draft.chmod(0o755)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(f"The disk of {place.parent} is full. Make room there and export again.") from None
        if error.errno == errno.ENOTEMPTY:
            raise BadInput(f"{place} was filled by somebody else meanwhile. Choose another folder.") from None
        raise


def _write(
    session: Session, storage: Storage, study: Study, draft: Path, report: Callable[[str, int, int], None]
) -> tuple[dict[str, Any], list[int], str]:
    """Write every file of the export; returns the manifest's head, the numbers of the items kept, and its sha256."""
    number = current_version(session, study.id)
    protocol = protocol_version(session, study.id, number)
    status, version = studies.status_word(study), installed_version("lookalike")
    with Snapshot(session, study_id=study.id, protocol=protocol) as snapshot:
        counts = snapshot.counts()
        _write_images(draft, storage, snapshot, total=counts["items"], report=report)
        counts |= _write_tables(draft, snapshot, protocol)
        text = card(slug=study.slug, status=status, protocol=protocol, counts=counts, version=version)
        (draft / "README.md").write_text(text, encoding="utf-8")
        head = {
            "study": {"name": study.slug, "seed": study.seed, "status": status, "round": study.round},
            "protocol": {"version": number, "document": protocol.model_dump(mode="json")},
            "filters": {"min_votes": protocol.min_votes, "drop": protocol.drop},
            "counts": counts,
            "versions": {"lookalike": version, "pyarrow": installed_version("pyarrow")},
        }
        files = _files(draft, TABLES[protocol.kind], snapshot)
        return head, snapshot.kept(), write_manifest(draft / "manifest.json", head, files)


def _write_tables(draft: Path, snapshot: Snapshot, protocol: Protocol) -> dict[str, int]:
    """Write the CSV and parquet files; returns how many judgments and assignments they hold."""
    if protocol.kind == "jnd":
        _write_csv(draft / "jnd.csv", layout.PAIR_COLUMNS, map(layout.pair_row, snapshot.pairs()))
    else:
        as_shares = protocol.drop == "none"
        kept = (layout.kept_row(row, as_shares=as_shares) for row in snapshot.pool() if row.status == "kept")
        _write_csv(draft / "data.csv", NIGHTS_COLUMNS, kept)
        _write_csv(draft / "unfiltered.csv", layout.UNFILTERED_COLUMNS, map(layout.unfiltered_row, snapshot.pool()))
    tables.write_parquet(draft / "items.parquet", tables.ITEMS, snapshot.pool())
    return {
        "judgments": tables.write_parquet(draft / "judgments.parquet", tables.JUDGMENTS, snapshot.judgments()),
        "assignments": tables.write_parquet(draft / "assignments.parquet", tables.ASSIGNMENTS, snapshot.assignments()),
    }


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_images(
    draft: Path, storage: Storage, snapshot: Snapshot, *, total: int, report: Callable[[str, int, int], None]
) -> None:
    """Every image once as a blob, and a hard link to it wherever an item shows it."""
    for done, row in enumerate(snapshot.pool()):
        report("writing images", done, total)
        for name, sha256 in _image_files(row):
            blob = draft / _BLOBS / sha256[:2] / sha256
            if not blob.exists():
                blob.parent.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(storage.get(sha256))
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(path, blob)
    report("writing images", total, total)
    shutil.rmtree(draft / _BLOBS, ignore_errors=True)


def _link(path: Path, blob: Path) -> None:
    """A hard link, or a copy where the file system has none, or no more of them for this file."""
    try:
        path.hardlink_to(blob)
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        shutil.copyfile(blob, path)


def _image_files(row: Any) -> Iterator[tuple[str, str]]:
    where = layout.paths(row)
    yield where.reference, row.reference
    yield where.candidate_0, row.candidate_0
    if where.candidate_1 is not None:
        yield where.candidate_1, row.candidate_1


def _files(draft: Path, names: Iterable[str], snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for name in names:
        yield name, file_sha256(draft / name)
    for row in snapshot.pool():
        yield from _image_files(row)


def _remember(session: Session, slug: str, manifest_sha256: str, counts: dict[str, int], kept: list[int]) -> int:
    study = studies.by_slug(session, slug, lock=True)
    known = session.scalar(
        select(Export.version).where(Export.study_id == study.id, Export.manifest_sha256 == manifest_sha256)
    )
    if known is not None:
        return known
    last = session.scalar(select(func.max(Export.version)).where(Export.study_id == study.id)) or 0
    session.add(Export(study_id=study.id, version=last + 1, manifest_sha256=manifest_sha256, counts=counts, kept=kept))
    return last + 1
