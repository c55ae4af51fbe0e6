"""Shards: the items with their images in a few large files, for data sets that are too many files otherwise.

The kept items come by split (`train`, `val`, `test`), all others (dropped, or short of votes) as `others`, so many a
shard, by number. A shard holds either samples of WebDataset, a tar of `NUMBER.reference.EXT`, `NUMBER.candidate_0.EXT`,
`NUMBER.candidate_1.EXT` and `NUMBER.json`, or rows of Parquet with the images' bytes, which `datasets` reads as images.
The same rows make the same bytes.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Row

from app.services.exports.manifest import file_sha256
from app.services.exports.queries import Snapshot
from app.services.exports.writers import READERS, ExportWriter, Read

ShardFormat = Literal["webdataset", "parquet"]

PARTS = ("train", "val", "test", "others")
SHARD = 500
"""Items in a shard: 75 MB of small JPEGs, 750 MB of half-megabyte PNGs."""
READ_AHEAD = 16
"""Items whose images are in memory at a time."""
ROW_GROUP, ROW_GROUP_BYTES = 100, 16 * 2**20
IMAGES = ("reference", "candidate_0", "candidate_1")

_FIELDS: dict[str, pa.DataType] = {
    "number": pa.int64(),
    "split": pa.string(),
    "status": pa.string(),
    "dropped_round": pa.int32(),
    "votes_0": pa.int32(),
    "votes_1": pa.int32(),
    "is_imagenet": pa.bool_(),
    "prompt": pa.string(),
}
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_FEATURES = {name: {"_type": "Value", "dtype": str(kind)} for name, kind in _FIELDS.items()} | {
    name: {"_type": "Image"} for name in IMAGES
}
SCHEMA = pa.schema(
    {**_FIELDS, **dict.fromkeys(IMAGES, _IMAGE)},
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def tar_features(snapshot: Snapshot) -> dict[str, str | dict[str, str]]:
    """The members of a tar's samples with their type in a dataset card; what JSON holds, by field.

    Without it `datasets` takes the members and their types from the first five samples, and leaves out without a word
    what only later ones have.
    """
    members = {
        f"{image}.{getattr(row, f'{image}_extension')}"
        for row in snapshot.pool()
        for image in IMAGES
        if getattr(row, image)
    }
    return dict.fromkeys(sorted(members), "image") | {"json": {name: str(kind) for name, kind in _FIELDS.items()}}


@dataclass(frozen=True)
class Sample:
    """An item with its images' bytes; in JND there may be no candidate 1."""

    row: Row[Any]
    images: dict[str, bytes]

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self.row, name) for name in _FIELDS}

    def file(self, image: str) -> str:
        return f"{self.row.number:08d}.{image}.{getattr(self.row, f'{image}_extension')}"


def write_shards(
    writer: ExportWriter,
    snapshot: Snapshot,
    form: ShardFormat,
    read: Read,
    *,
    versions: dict[str, str],
    report: Callable[[int], None],
) -> None:
    """Write the shards that are not there yet; `writer.progress` names them all, and no others, afterwards."""
    write = {"webdataset": _write_tar, "parquet": _write_parquet}[form]
    left, done = set(writer.progress.shards), 0
    report(done)
    with ThreadPoolExecutor(READERS) as readers:
        for name, rows in _planned(snapshot, form):
            left.discard(name)
            made_from = _digest(rows, versions)
            if writer.progress.shards.get(name, ("", ""))[0] != made_from:
                path = writer.scratch / name
                path.parent.mkdir(exist_ok=True)
                write(path, _samples(rows, read, readers))
                writer.progress.shards[name] = (made_from, file_sha256(path))
                writer.put(name)
                writer.save_progress()
            done += len(rows)
            report(done)
    for name in left:
        writer.forget(name)
        del writer.progress.shards[name]


def _planned(snapshot: Snapshot, form: ShardFormat) -> Iterator[tuple[str, list[Row[Any]]]]:
    extension = {"webdataset": "tar", "parquet": "parquet"}[form]
    for part in PARTS:
        rows = (row for row in snapshot.pool() if _part(row) == part)
        index = 0
        while batch := list(islice(rows, SHARD)):
            yield f"data/{part}-{index:05d}.{extension}", batch
            index += 1


def _part(row: Row[Any]) -> str:
    return str(row.split) if row.status == "kept" else "others"


def _digest(rows: list[Row[Any]], versions: dict[str, str]) -> str:
    told = [versions, [list(row) for row in rows]]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _samples(rows: list[Row[Any]], read: Read, readers: ThreadPoolExecutor) -> Iterator[Sample]:
    waiting = iter(rows)
    while batch := list(islice(waiting, READ_AHEAD)):
        wanted = [(row, image) for row in batch for image in IMAGES if getattr(row, image)]
        data = dict(zip(wanted, readers.map(lambda w: read(getattr(*w)), wanted), strict=True))
        for row in batch:
            yield Sample(row, {image: data[row, image] for image in IMAGES if (row, image) in data})


def _write_tar(path: Path, samples: Iterable[Sample]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for image, data in sample.images.items():
                _add(tar, sample.file(image), data)
            described = json.dumps(sample.fields(), ensure_ascii=False, sort_keys=True)
            _add(tar, f"{sample.row.number:08d}.json", described.encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of nobody, at no time: the same bytes wherever it is written
    member.size = len(data)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(data))


def _write_parquet(path: Path, samples: Iterable[Sample]) -> None:
    # Images are compressed already, and no two of a column are alike.
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    with parquet.ParquetWriter(path, SCHEMA, **options) as writer:
        for group in _row_groups(samples):
            rows = [sample.fields() | {image: _stored(sample, image) for image in IMAGES} for sample in group]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _stored(sample: Sample, image: str) -> dict[str, Any] | None:
    data = sample.images.get(image)
    return None if data is None else {"bytes": data, "path": sample.file(image)}


def _row_groups(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    group: list[Sample] = []
    size = 0
    for sample in samples:
        group.append(sample)
        size += sum(map(len, sample.images.values()))
        if len(group) == ROW_GROUP or size >= ROW_GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
