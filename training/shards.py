"""Exports in shards, WebDataset or Parquet: their items, and their images unpacked into the folder layout.

Images are unpacked once, into the cache and under the names that the folder export gives them, so that everything
after the reader sees the same files in the same order, whatever the format.
"""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from datafiles.nights import IMAGES, image_path
from training.errors import DataError
from training.image_cache import default_cache_folder
from training.manifest import MANIFEST, check_file, read_manifest

_SHARD = re.compile(r"(train|val|test|others)-\d{5,}\.(tar|parquet)")
_MEMBER = re.compile(rf"(\d{{8,}})\.(?:json|({'|'.join(IMAGES)})\.([a-z0-9]{{1,5}}))")
_INDEX = "items.json"


@dataclass(frozen=True)
class Item:
    """An item of an export: `images` are its two or three, relative to the folder they are unpacked to."""

    number: int
    split: str
    status: str
    votes_0: int
    votes_1: int
    is_imagenet: bool
    prompt: str
    images: tuple[str, ...]

    @property
    def votes(self) -> int:
        return self.votes_0 + self.votes_1


@dataclass(frozen=True)
class Shards:
    """An export's items by number, the folder of their images, and the images' sha256 by absolute path."""

    items: list[Item]
    images: Path
    sha256: dict[Path, str]


@dataclass(frozen=True)
class _Sample:
    """What a shard holds of an item: its fields, and the extension and bytes of its images."""

    fields: dict[str, Any]
    images: dict[str, tuple[str, bytes]]


def has_shards(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and any(_SHARD.fullmatch(path.name) for path in (folder / "data").glob("*"))


def open_shards(folder: Path, cache: Path | None = None) -> Shards:
    """The items of an export in shards, unpacked to the cache where they are not there yet: complete or absent.

    Raises DataError where a shard is missing or is not what was exported, or the disk is full.
    """
    hashes = read_manifest(folder) or {}
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:32]
    place = (cache or default_cache_folder()).resolve() / f"export-{digest}"
    if not place.is_dir():
        shards = sorted(path for path in hashes if _SHARD.fullmatch(path.name))
        _unpack(shards, hashes, place)
    index = json.loads((place / _INDEX).read_text(encoding="utf-8"))
    items = [Item(**item | {"images": tuple(item["images"])}) for item in index["items"]]
    return Shards(items, place, {place / name: sha256 for name, sha256 in index["sha256"].items()})


def _unpack(shards: list[Path], hashes: dict[Path, str], place: Path) -> None:
    draft = place.with_name(f".{place.name}.{uuid4().hex}")
    try:
        draft.mkdir(parents=True)
        items: list[Item] = []
        sha256: dict[str, str] = {}
        for shard in shards:
            check_file(shard, hashes[shard])
            items += [_write(sample, draft, sha256) for sample in _samples(shard)]
        items.sort(key=lambda item: item.number)
        index = {"items": [asdict(item) for item in items], "sha256": sha256}
        (draft / _INDEX).write_text(json.dumps(index), encoding="utf-8")
        if not place.is_dir():  # another process may have been as quick
            draft.rename(place)
    except OSError as error:
        raise DataError(f"{place.parent}: the images of the shards cannot be unpacked ({error.strerror})") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(sample: _Sample, folder: Path, sha256: dict[str, str]) -> Item:
    number, names = int(sample.fields["number"]), []
    for image in IMAGES:
        if image in sample.images:
            extension, data = sample.images[image]
            name = image_path(number, image, extension)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            names.append(name)
            sha256[name] = hashlib.sha256(data).hexdigest()
    known = {name: sample.fields[name] for name in ("split", "status", "votes_0", "votes_1", "is_imagenet")}
    return Item(number=number, prompt=sample.fields["prompt"] or "", images=tuple(names), **known)


def _samples(shard: Path) -> Iterator[_Sample]:
    """Raises DataError for a shard that an export does not write."""
    try:
        yield from _tar_samples(shard) if shard.suffix == ".tar" else _parquet_samples(shard)
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{shard} is not a shard of an export ({error})") from None


def _tar_samples(shard: Path) -> Iterator[_Sample]:
    """The images of an item come before its fields, as exports write them."""
    images: dict[str, tuple[str, bytes]] = {}
    with tarfile.open(shard, "r:") as tar:
        for member in tar:
            name, file = _MEMBER.fullmatch(member.name), tar.extractfile(member)
            if name is None or file is None:
                raise ValueError(f"it holds {member.name!r}")
            if name[2]:
                images[name[2]] = (name[3], file.read())
            else:
                yield _Sample(json.loads(file.read()), images)
                images = {}


def _parquet_samples(shard: Path) -> Iterator[_Sample]:
    from pyarrow import parquet  # only those who have such a file wait for it

    with parquet.ParquetFile(shard) as file:
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group).to_pylist():
                images = {image: row[image] for image in IMAGES if row[image] is not None}
                yield _Sample(
                    row,
                    {image: (_extension(stored["path"]), stored["bytes"]) for image, stored in images.items()},
                )


def _extension(path: str) -> str:
    name = _MEMBER.fullmatch(path)
    if name is None or not name[3]:
        raise ValueError(f"it names an image {path!r}")
    return name[3]
