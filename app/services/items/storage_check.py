"""Whether what is stored and what the database says of it agree, and putting right what can be."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import Row, text, update
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import BadInput, Damaged, NotFound
from app.models.items import Derivative
from app.services.items import images
from app.storage import Storage

GRACE = timedelta(days=1)
"""The age from which on an object without a row, or half an upload, is taken for abandoned: no import or generation
keeps its rows back for so long."""
BATCH = 200
READERS = 16

Report = Callable[[str, int, int], None]
Trouble = Literal["orphan", "leftover", "missing", "damaged"]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    `what` is `original`, the kind of a derivative, or empty for what no row names; `image` the original's sha256.
    `outcome` is `found` (--repair would mend it), `repaired`, or `lost`: an original that has to come from a backup.
    """

    trouble: Trouble
    what: str
    key: str
    image: str | None
    outcome: Literal["found", "repaired", "lost"]
    used_by: str = ""


@dataclass(frozen=True)
class StorageCheck:
    objects: int
    bytes: int
    images: int
    findings: list[Finding]

    @property
    def is_sound(self) -> bool:
        return all(finding.outcome == "repaired" for finding in self.findings)


def check_storage(sessions: Sessions, storage: Storage, *, repair: bool, report: Report) -> StorageCheck:
    """Compare every object with every row: both ways, and byte by byte.

    Repairing removes what is abandoned and makes damaged or missing derivatives again from their originals.

    Raises:
        BadInput: most objects have no row, so that it is hardly the right database; nothing was changed.
        Unavailable: the store cannot be reached.
    """
    before = datetime.now(UTC) - GRACE
    with sessions() as session:
        total = session.execute(text("SELECT count(*) FROM images")).scalar_one()
        objects, size, orphans = _listed(session, storage, before, report)
    if repair and len(orphans) > objects / 2:
        raise BadInput(
            f"{len(orphans):,} of {objects:,} stored objects have no row in this database: it is hardly the one that "
            "they belong to. Nothing was changed. If it is, remove them by hand."
        )
    findings = [*_read_all(sessions, storage, repair=repair, total=total, report=report)]
    findings += _removed(sessions, storage, orphans) if repair else [_abandoned("orphan", key) for key in orphans]
    leftovers = [_abandoned("leftover", name) for name in storage.sweep(before=before, remove=repair)]
    findings += [replace(leftover, outcome="repaired") for leftover in leftovers] if repair else leftovers
    return StorageCheck(objects, size, total, findings)


def _abandoned(trouble: Trouble, key: str) -> Finding:
    return Finding(trouble, "", key, None, "found")


_KNOWN = text("SELECT sha256 FROM images UNION SELECT sha256 FROM derivatives")


def _listed(session: Session, storage: Storage, before: datetime, report: Report) -> tuple[int, int, list[str]]:
    """How many objects there are, their bytes, and the keys of old ones without a row."""
    known, objects, size, orphans = set(session.scalars(_KNOWN)), 0, 0, []
    for stored in storage.objects():
        objects, size = objects + 1, size + stored.bytes
        if stored.key not in known and stored.modified < before:
            orphans.append(stored.key)
        if objects % BATCH == 0:
            report("listing objects", objects, max(objects, len(known)))
    return objects, size, orphans


def _removed(sessions: Sessions, storage: Storage, orphans: list[str]) -> Iterator[Finding]:
    """Remove what still has no row while nobody can be about to give it one."""
    for start in range(0, len(orphans), BATCH):
        batch = orphans[start : start + BATCH]
        with sessions.begin() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": images.ROWS_TO_COME})
            adopted = set(session.scalars(text(f"SELECT sha256 FROM ({_KNOWN}) k WHERE sha256 = ANY(:keys)"),
                                          {"keys": batch}))  # fmt: skip
            for key in batch:
                if key not in adopted:
                    storage.delete(key)
                    yield replace(_abandoned("orphan", key), outcome="repaired")


_IMAGES = text("""
    SELECT image, what, key FROM (
        SELECT sha256 AS image, 'original' AS what, sha256 AS key FROM images
        UNION ALL SELECT image, kind, sha256 FROM derivatives
    ) files
    WHERE image IN (SELECT sha256 FROM images WHERE sha256 > :after ORDER BY sha256 LIMIT :batch)
    ORDER BY image, what
""")


def _read_all(sessions: Sessions, storage: Storage, *, repair: bool, total: int, report: Report) -> Iterator[Finding]:
    """Read every file that a row names."""
    after, done = "", 0
    with ThreadPoolExecutor(READERS) as readers:
        while True:
            with sessions() as session:
                files = session.execute(_IMAGES, {"after": after, "batch": BATCH}).all()
            if not files:
                return
            troubles = readers.map(lambda file: _trouble(storage, file.key), files)
            for image, found in groupby(zip(files, troubles, strict=True), key=lambda pair: pair[0].image):
                yield from _judged(sessions, storage, image, list(found), repair=repair)
                after, done = image, done + 1
                report("reading images", done, total)


def _trouble(storage: Storage, key: str) -> Trouble | None:
    try:
        storage.get(key)
    except NotFound:
        return "missing"
    except Damaged:
        return "damaged"
    return None


def _judged(
    sessions: Sessions, storage: Storage, image: str, found: list[tuple[Row[Any], Trouble | None]], *, repair: bool
) -> Iterator[Finding]:
    """What is wrong with one image's files, and whether its original is there to mend them."""
    is_lost = any(trouble and file.what == "original" for file, trouble in found)
    for file, trouble in found:
        if trouble and is_lost:
            yield Finding(trouble, file.what, file.key, image, "lost", _used_by(sessions, image))
        elif trouble:
            if repair:
                _make_again(sessions, storage, image=image, kind=file.what, key=file.key)
            yield Finding(trouble, file.what, file.key, image, "repaired" if repair else "found")


def _make_again(sessions: Sessions, storage: Storage, *, image: str, kind: str, key: str) -> None:
    """Another version of the encoder may make other bytes; the row then names those."""
    made = images.check(storage.get(image), name=image, derivative=kind).derivative
    storage.delete(key)  # a folder does not overwrite what has the right name
    with sessions.begin() as session:
        session.execute(
            update(Derivative)
            .where(Derivative.image == image, Derivative.kind == kind)
            .values(sha256=storage.put(made), bytes=len(made))
        )


_USERS = text("""
    SELECT s.slug, string_agg(i.number::text, ', ' ORDER BY i.number) AS numbers
    FROM items i JOIN studies s ON s.id = i.study_id
    WHERE :image IN (i.reference, i.candidate_0, i.candidate_1)
    GROUP BY s.slug ORDER BY s.slug
""")


def _used_by(sessions: Sessions, image: str) -> str:
    """The studies that show it, with the numbers of their pool items."""
    with sessions() as session:
        users = session.execute(_USERS, {"image": image}).all()
    return "; ".join(f"{user.slug}: {user.numbers or 'checks only'}" for user in users)
