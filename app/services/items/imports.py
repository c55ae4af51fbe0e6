"""Importing triplets and pairs: every image checked before the study changes, then the rows, one transaction per chunk.

An interrupted import is run again: images that are stored already are only hashed, rows that are in are not repeated.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.dealing import split_of
from app.domain.protocol import Kind
from app.errors import BadInput, Conflict
from app.models.generation import GenerationPlan
from app.models.items import Item
from app.models.studies import Import, Study
from app.services import study_lookup
from app.services.items import images
from app.services.items.images import DERIVATIVE_FOR, CheckedImage
from app.services.items.item_files import ItemFile, ItemRow, repeated
from app.services.items.items import NewItem, add_items, next_number, require_draft
from app.services.study_lookup import current_protocol
from app.storage import Storage

IMAGES_PER_CHUNK = 64
ROWS_PER_CHUNK = 2000
Report = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""
Check = Callable[[bytes, str], CheckedImage]
"""Called with (the file's bytes, what errors call it)."""


@dataclass(frozen=True)
class StoredImage:
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class ImportResult:
    """`items` are new, `already_there` came in by an earlier run; `images` counts the different ones of the file."""

    items: int
    images: int
    already_there: int


@dataclass(frozen=True)
class _Material:
    """A file's rows, whose images are stored. `sha256` stands for both: the same table over other images, as two
    folders of one generator may well hold, is another import."""

    rows: list[ItemRow]
    images: Mapping[Path, StoredImage]
    sha256: str

    @classmethod
    def of(cls, file: ItemFile, stored: Mapping[Path, StoredImage]) -> "_Material":
        digest = hashlib.sha256(file.sha256.encode())
        for row in file.rows:
            digest.update("".join(stored[path].sha256 for path in row.images).encode())
        return cls(file.rows, stored, digest.hexdigest())


def import_items(
    sessions: Sessions, storage: Storage, *, slug: str, file: ItemFile, normalise: bool, report: Report
) -> ImportResult:
    """Bring a file's triplets into a draft 2AFC study, or its pairs into a JND study.

    Raises:
        NotFound: no such study. Conflict: it is open already, or another import got in the way.
        BadInput: the study is of the other kind, or an image or a row is not usable; the study is unchanged.
    """
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        require_draft(study)
        kind = current_protocol(session, study.id).kind
        _require_fit(session, study, kind, file)

    def check(data: bytes, name: str) -> CheckedImage:
        return images.check(data, name=name, normalise=normalise, derivative=DERIVATIVE_FOR[kind])

    stored = _store_images(sessions, storage, file.rows, check=check, derivative=DERIVATIVE_FOR[kind], report=report)
    material = _Material.of(file, stored)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug, lock=True)
        already_there = _progress(session, study, material).done
        _check_rows(session, study, material, already_there)
    while _add_chunk(sessions, slug=slug, material=material, report=report):
        pass
    return ImportResult(len(file.rows) - already_there, len({image.sha256 for image in stored.values()}), already_there)


def _require_fit(session: Session, study: Study, kind: Kind, file: ItemFile) -> None:
    """Everybody who sees an item of a study is to see the same number of images, so that none stands out."""
    are_pairs = file.rows[0].candidate_1 is None
    if are_pairs != (kind == "jnd"):
        raise BadInput(
            f"{study.slug!r} is a {kind.upper()} study. "
            + ("Triplets become pairs with: lookalike study derive --help" if kind == "jnd" else "It takes triplets.")
        )
    if are_pairs and session.scalar(
        select(Item.id).where(Item.study_id == study.id, Item.candidate_1.is_not(None)).limit(1)
    ):
        raise BadInput(f"The items of {study.slug!r} have two pairs each; single pairs need a study of their own.")


def _store_images(
    sessions: Sessions, storage: Storage, rows: list[ItemRow], *, check: Check, derivative: str, report: Report
) -> dict[Path, StoredImage]:
    """Check and store every image file once. Touches no study: images without items are merely not used."""
    names: dict[Path, str] = {}
    for row in rows:
        for path in row.images:
            names.setdefault(path, f"{row.where}: {path}")
    paths = list(names)
    stored: dict[Path, StoredImage] = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), IMAGES_PER_CHUNK):
            report("checking images", start, len(paths))
            chunk = {path: names[path] for path in paths[start : start + IMAGES_PER_CHUNK]}
            with sessions.begin() as session:
                stored |= _store_chunk(session, storage, pool, chunk, check=check, derivative=derivative)
    report("checking images", len(paths), len(paths))
    return stored


def _store_chunk(
    session: Session,
    storage: Storage,
    pool: ThreadPoolExecutor,
    names: dict[Path, str],
    *,
    check: Check,
    derivative: str,
) -> dict[Path, StoredImage]:
    """Only images that are not known by their content are decoded. `names` are what errors call them."""

    def checked(path: Path) -> CheckedImage:
        return check(data[path], names[path])

    data = dict(zip(names, pool.map(_read, names.items()), strict=True))
    sha256s = {path: hashlib.sha256(data[path]).hexdigest() for path in names}
    known = images.known(session, list(sha256s.values()), derivative=derivative)
    new = [path for path in names if sha256s[path] not in known]
    made = dict(zip(new, pool.map(checked, new), strict=True))
    images.store(session, storage, list({image.sha256: image for image in made.values()}.values()))
    return {
        path: StoredImage(image.sha256, image.width, image.height)
        for path in names
        for image in [made[path] if path in made else known[sha256s[path]]]
    }


def _read(named: tuple[Path, str]) -> bytes:
    path, name = named
    try:
        if path.stat().st_size > images.MAX_BYTES:
            raise BadInput(f"{name}: the file is larger than {images.MAX_BYTES // 2**20} MB.")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}.") from None


def _progress(session: Session, study: Study, material: _Material) -> Import:
    require_draft(study)
    progress = session.get(Import, (study.id, material.sha256))
    if progress is None:
        progress = Import(
            study_id=study.id,
            file_sha256=material.sha256,
            first_number=next_number(session, study),
            total=len(material.rows),
            done=0,
        )
        session.add(progress)
        session.flush()
    return progress


def _check_rows(session: Session, study: Study, material: _Material, already_there: int) -> None:
    """Everything that can be wrong with rows once their images are known, before the first one is stored."""
    seen = _seen(session, study)
    for row in material.rows[already_there:]:
        found = [(path, material.images[path]) for path in row.images]
        _check_images(row, found)
        reference, *candidates = (image.sha256 for _, image in found)
        _check_row(row, reference, frozenset(candidates), study.seed, seen)


def _check_images(row: ItemRow, found: list[tuple[Path, StoredImage]]) -> None:
    if len({(image.width, image.height) for _, image in found}) > 1:
        sizes = ", ".join(f"{path.name} is {image.width} × {image.height}" for path, image in found)
        raise BadInput(f"{row.where}: its images differ in size: {sizes}.")
    for (path, image), (other_path, other) in combinations(found, 2):
        if image.sha256 == other.sha256 and row.candidate_1 is not None:
            raise BadInput(f"{row.where}: {path.name} and {other_path.name} are the same image.")
        if image.sha256 == other.sha256 and row.recorded and row.recorded[1] > row.recorded[0]:
            raise BadInput(
                f"{row.where}: {path.name} and {other_path.name} are the same image, but most votes say they are not."
            )


@dataclass(frozen=True)
class _Seen:
    """What a study takes once only, and where it was: ids, triplets, and the split of each reference; and the ids that
    are kept for items to be generated."""

    numbers: dict[int, str] = field(default_factory=dict)
    triplets: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict)
    splits: dict[str, tuple[str, str]] = field(default_factory=dict)
    planned: list[range] = field(default_factory=list)


def _seen(session: Session, study: Study) -> _Seen:
    seen, there = _Seen(), f"the study {study.slug!r}"
    for item in session.execute(
        select(Item.number, Item.reference, Item.candidate_0, Item.candidate_1, Item.split).where(
            Item.study_id == study.id, Item.role == "pool"
        )
    ):
        seen.numbers[item.number] = there
        seen.triplets[item.reference, frozenset(filter(None, (item.candidate_0, item.candidate_1)))] = there
        seen.splits[item.reference] = (item.split, there)
    for plan in session.scalars(select(GenerationPlan).where(GenerationPlan.study_id == study.id)):
        seen.planned.append(range(plan.first_number, plan.first_number + plan.total))
    return seen


def _check_row(row: ItemRow, reference: str, candidates: frozenset[str], seed: int, seen: _Seen) -> None:
    if row.number is not None and row.number in seen.numbers:
        raise BadInput(f"{row.where}: the id {row.number} is taken in {seen.numbers[row.number]}.")
    if any(row.number in numbers for numbers in seen.planned):
        raise BadInput(f"{row.where}: the id {row.number} is kept for an item to be generated.")
    first = seen.triplets.setdefault((reference, candidates), row.where)
    if first != row.where:
        raise repeated(row, first)
    split = row.split or split_of(seed, reference)
    known, since = seen.splits.setdefault(reference, (split, row.where))
    if known != split:
        raise BadInput(f"{row.where}: its reference image is in split {split!r} here and in {known!r} in {since}.")


def _add_chunk(sessions: Sessions, *, slug: str, material: _Material, report: Report) -> bool:
    """Store the next rows and how far that got us, in one transaction; False when all are in."""
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug, lock=True)
        progress = _progress(session, study, material)
        rows = material.rows[progress.done : progress.done + ROWS_PER_CHUNK]
        if rows:
            try:
                add_items(session, study=study, items=list(_new_items(progress, rows, material.images)))
            except IntegrityError:  # rows were checked, but the study is free for others between two chunks
                raise Conflict(
                    f"Meanwhile another import brought some of the same items or ids into {slug!r}. "
                    "Run this one again: it will say which."
                ) from None
            progress.done += len(rows)
        report("adding items", progress.done, progress.total)
        return bool(rows)


def _new_items(progress: Import, rows: list[ItemRow], stored: Mapping[Path, StoredImage]) -> Iterator[NewItem]:
    for number, row in enumerate(rows, start=progress.first_number + progress.done):
        reference, candidate_0, *others = (stored[path].sha256 for path in row.images)
        recorded_0, recorded_1 = row.recorded or (None, None)
        yield NewItem(
            number=number if row.number is None else row.number,
            reference=reference,
            candidate_0=candidate_0,
            candidate_1=others[0] if others else None,
            prompt=row.prompt,
            source=row.source,
            split=row.split,
            is_imagenet=row.is_imagenet,
            recorded_0=recorded_0,
            recorded_1=recorded_1,
        )
