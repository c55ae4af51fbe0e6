"""Importing triplets: every image checked before the study changes, then the rows, one transaction per chunk.

An interrupted import is run again: images that are stored already are only hashed, rows that are in are not repeated.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.dealing import split_of
from app.errors import BadInput
from app.models.items import Item
from app.models.studies import Import, Study
from app.services import images, studies
from app.services.images import CheckedImage
from app.services.items import NewItem, add_items, next_number, require_draft
from app.services.triplet_files import TripletFile, TripletRow
from app.storage import Storage

IMAGES_PER_CHUNK = 64
ROWS_PER_CHUNK = 2000
Report = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


@dataclass(frozen=True)
class StoredImage:
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class ImportResult:
    items: int
    images: int
    already_there: int


def import_triplets(
    sessions: Sessions, storage: Storage, *, slug: str, file: TripletFile, normalise: bool, report: Report
) -> ImportResult:
    """Bring a file's triplets into a draft study.

    Raises:
        NotFound: no such study. Conflict: it is open already.
        BadInput: an image or a row is not usable; the study is unchanged.
    """
    with sessions.begin() as session:
        require_draft(studies.by_slug(session, slug))
    stored = _store_images(sessions, storage, file.rows, normalise=normalise, report=report)
    with sessions.begin() as session:
        study = studies.by_slug(session, slug, lock=True)
        progress = _progress(session, study, file)
        already_there = progress.done
        if not already_there:
            _check_rows(session, study, file.rows, stored)
    while _add_chunk(sessions, slug=slug, file=file, stored=stored, report=report):
        pass
    return ImportResult(len(file.rows) - already_there, len({image.sha256 for image in stored.values()}), already_there)


def _store_images(
    sessions: Sessions, storage: Storage, rows: list[TripletRow], *, normalise: bool, report: Report
) -> dict[Path, StoredImage]:
    """Check and store every image file once. Touches no study: images without items are merely not used."""
    paths = sorted({path for row in rows for path in row.images})
    stored: dict[Path, StoredImage] = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), IMAGES_PER_CHUNK):
            report("checking images", start, len(paths))
            with sessions.begin() as session:
                chunk = paths[start : start + IMAGES_PER_CHUNK]
                stored |= _store_chunk(session, storage, pool, chunk, normalise=normalise)
    report("checking images", len(paths), len(paths))
    return stored


def _store_chunk(
    session: Session, storage: Storage, pool: ThreadPoolExecutor, paths: list[Path], *, normalise: bool
) -> dict[Path, StoredImage]:
    """Only images that are not known by their content are decoded."""

    def checked(path: Path) -> CheckedImage:
        return images.check(data[path], name=str(path), normalise=normalise)

    data = dict(zip(paths, pool.map(_read, paths), strict=True))
    sha256s = {path: hashlib.sha256(data[path]).hexdigest() for path in paths}
    known = images.known(session, list(sha256s.values()))
    new = [path for path in paths if sha256s[path] not in known]
    made = dict(zip(new, pool.map(checked, new), strict=True))
    images.store(session, storage, list({image.sha256: image for image in made.values()}.values()))
    return {
        path: StoredImage(image.sha256, image.width, image.height)
        for path in paths
        for image in [made[path] if path in made else known[sha256s[path]]]
    }


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > images.MAX_BYTES:
            raise BadInput(f"{path}: the file is larger than {images.MAX_BYTES // 2**20} MB.")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None


def _progress(session: Session, study: Study, file: TripletFile) -> Import:
    require_draft(study)
    progress = session.get(Import, (study.id, file.sha256))
    if progress is None:
        progress = Import(
            study_id=study.id,
            file_sha256=file.sha256,
            first_number=next_number(session, study),
            total=len(file.rows),
            done=0,
        )
        session.add(progress)
        session.flush()
    return progress


def _check_rows(session: Session, study: Study, rows: list[TripletRow], stored: Mapping[Path, StoredImage]) -> None:
    """Everything that can be wrong with rows once their images are known, before the first one is stored."""
    numbers: dict[int, str] = {}
    triplets: dict[tuple[str, frozenset[str]], str] = {}
    splits: dict[str, tuple[str, str]] = {}
    there = f"the study {study.slug!r}"
    for item in session.execute(
        select(Item.number, Item.reference, Item.candidate_0, Item.candidate_1, Item.split).where(
            Item.study_id == study.id, Item.role == "pool"
        )
    ):
        numbers[item.number] = there
        triplets[item.reference, frozenset((item.candidate_0, item.candidate_1))] = there
        splits[item.reference] = (item.split, there)
    for row in rows:
        _check_row(row, stored, study.seed, numbers, triplets, splits)


def _check_row(
    row: TripletRow,
    stored: Mapping[Path, StoredImage],
    seed: int,
    numbers: dict[int, str],
    triplets: dict[tuple[str, frozenset[str]], str],
    splits: dict[str, tuple[str, str]],
) -> None:
    reference, candidate_0, candidate_1 = (stored[path] for path in row.images)
    if len({(image.width, image.height) for image in (reference, candidate_0, candidate_1)}) > 1:
        raise BadInput(f"{row.where}: its three images differ in size.")
    if len({reference.sha256, candidate_0.sha256, candidate_1.sha256}) < 3:
        raise BadInput(f"{row.where}: two of its images are equal.")
    if row.number is not None and row.number in numbers:
        raise BadInput(f"{row.where}: the id {row.number} is taken in {numbers[row.number]}.")
    triplet = (reference.sha256, frozenset((candidate_0.sha256, candidate_1.sha256)))
    first = triplets.setdefault(triplet, row.where)
    if first != row.where:
        raise BadInput(f"{row.where}: the same reference with the same two candidates is in {first} already.")
    split = row.split or split_of(seed, reference.sha256)
    known, since = splits.setdefault(reference.sha256, (split, row.where))
    if known != split:
        raise BadInput(f"{row.where}: its reference image is in split {split!r} here and in {known!r} in {since}.")


def _add_chunk(
    sessions: Sessions, *, slug: str, file: TripletFile, stored: Mapping[Path, StoredImage], report: Report
) -> bool:
    """Store the next rows and how far that got us, in one transaction; False when all are in."""
    with sessions.begin() as session:
        study = studies.by_slug(session, slug, lock=True)
        progress = _progress(session, study, file)
        rows = file.rows[progress.done : progress.done + ROWS_PER_CHUNK]
        if rows:
            add_items(session, study=study, items=list(_new_items(progress, rows, stored)))
            progress.done += len(rows)
        report("adding triplets", progress.done, progress.total)
        return bool(rows)


def _new_items(progress: Import, rows: list[TripletRow], stored: Mapping[Path, StoredImage]) -> Iterator[NewItem]:
    for number, row in enumerate(rows, start=progress.first_number + progress.done):
        reference, candidate_0, candidate_1 = (stored[path].sha256 for path in row.images)
        recorded_0, recorded_1 = row.recorded or (None, None)
        yield NewItem(
            number=number if row.number is None else row.number,
            reference=reference,
            candidate_0=candidate_0,
            candidate_1=candidate_1,
            prompt=row.prompt,
            source=row.source,
            split=row.split,
            is_imagenet=row.is_imagenet,
            recorded_0=recorded_0,
            recorded_1=recorded_1,
        )
