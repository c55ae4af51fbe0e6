"""Where an export grows: a folder, or a prefix of a bucket. Complete or absent, and an interrupted one goes on."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.errors import BadInput, Conflict, NotFound, Unavailable
from app.services.exports.manifest import file_sha256

if TYPE_CHECKING:
    from app.storage.s3 import Bucket  # boto3 takes long to import, and folders do not need it

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
READERS = 8
_BLOBS = ".blobs"

Read = Callable[[str], bytes]
"""The bytes of an image by its sha256."""


@dataclass
class Progress:
    """How far an export has come. `of` says of what; only the same export may go on.

    `items` are the first so many of the pool whose images are there, `digest` what these were; `shards` has for every
    finished one what it was made from, and the sha256 of its bytes.
    """

    of: dict[str, Any]
    items: int = 0
    digest: str = ""
    shards: dict[str, tuple[str, str]] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Progress":
        """Raises ValueError or TypeError for what is none."""
        known = json.loads(text)
        return cls(**known | {"shards": {name: (made, sha) for name, (made, sha) in known["shards"].items()}})


class ExportWriter(Protocol):
    """An export in the making."""

    progress: Progress
    scratch: Path
    """A folder for files until they are put."""

    def put_images(self, files: list[tuple[str, str]], read: Read) -> None:
        """Images by name and sha256."""

    def put(self, name: str) -> None:
        """A file that lies complete in `scratch` under its name."""

    def forget(self, name: str) -> None:
        """Remove a shard that an interrupted export left, and this one does not have."""

    def save_progress(self) -> None: ...

    def finish(self) -> None:
        """Put the manifest, which lies in `scratch`, last: from now on the export is there."""


@contextmanager
def export_writer(out: "Path | Bucket", *, of: dict[str, Any]) -> Iterator[ExportWriter]:
    """A new writer, or the one that an interrupted export of the same left.

    Raises:
        BadInput: the place is in use. Unavailable: a disk is full (what was written is removed, to make room), or the
            bucket cannot be used.
    """
    if isinstance(out, Path):
        with _in_folder(out.resolve(), of) as writer:
            yield writer
    else:
        with tempfile.TemporaryDirectory(prefix="lookalike-") as scratch, _full_disk(Path(scratch).parent):
            yield BucketWriter(out, Path(scratch), of)


def require_free(out: "Path | Bucket") -> None:
    """Raises BadInput if something else is there."""
    if isinstance(out, Path):
        place = out.resolve()
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise BadInput(f"{place} is not an empty folder. Choose another, or move it away.")
        for parent in place.parents:
            if parent.exists() and not parent.is_dir():
                raise BadInput(f"{place} cannot be a folder: {parent} is a file.")
    elif not out.is_empty() and (out.has(MANIFEST) or not out.has(UNFINISHED)):
        raise BadInput(f"{out} is not empty. Choose another prefix.")


@contextmanager
def _in_folder(place: Path, of: dict[str, Any]) -> Iterator[ExportWriter]:
    folder = place.with_name(f".{place.name}.unfinished")
    try:
        with _full_disk(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
            yield FolderWriter(folder, place, of)
    except (BadInput, DiskFull):
        shutil.rmtree(folder, ignore_errors=True)
        raise


class DiskFull(Unavailable):
    pass


@contextmanager
def _full_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk of {folder} is full. Make room there and export again.") from None
        raise


class FolderWriter:
    """A hidden folder beside the place, renamed when it is complete. Every image is in it once, as a blob, with a hard
    link wherever an item shows it; the blobs and finished shards are what an interrupted export hands on."""

    def __init__(self, folder: Path, place: Path, of: dict[str, Any]) -> None:
        self.scratch = folder
        self._place = place
        self.progress = Progress(of)
        if folder.exists():
            self._take_up()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        self.save_progress()

    def _take_up(self) -> None:
        """Keep what is whole, hashed again: a power cut may have left less than was written."""
        try:
            found = Progress.from_json((self.scratch / UNFINISHED).read_bytes())
        except (OSError, ValueError, TypeError, KeyError):
            found = Progress({})
        if found.of == self.progress.of:
            for name, (made_from, sha256) in found.shards.items():
                if _is_whole(self.scratch / name, sha256):
                    self.progress.shards[name] = (made_from, sha256)
        kept = {self.scratch / name for name in self.progress.shards}
        for path in sorted(self.scratch.rglob("*"), reverse=True):  # what lies in a folder before the folder
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path not in kept and not (_BLOBS in path.parts and _is_whole(path, path.name)):
                path.unlink()

    def put_images(self, files: list[tuple[str, str]], read: Read) -> None:
        new = {sha256 for _, sha256 in files if not self._blob(sha256).exists()}
        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(lambda sha256: self._write(sha256, read(sha256)), new))
        for name, sha256 in files:
            path = self.scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(path, self._blob(sha256))

    def _blob(self, sha256: str) -> Path:
        return self.scratch / _BLOBS / sha256[:2] / sha256

    def _write(self, sha256: str, data: bytes) -> None:
        blob = self._blob(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(f"{sha256}.part")
        part.write_bytes(data)
        os.replace(part, blob)

    def put(self, name: str) -> None:
        """It lies where it belongs."""

    def forget(self, name: str) -> None:
        (self.scratch / name).unlink()

    def save_progress(self) -> None:
        part = self.scratch / f"{UNFINISHED}.part"
        part.write_text(self.progress.to_json(), encoding="utf-8")
        os.replace(part, self.scratch / UNFINISHED)

    def finish(self) -> None:
        shutil.rmtree(self.scratch / _BLOBS, ignore_errors=True)
        (self.scratch / UNFINISHED).unlink()
        try:
            os.replace(self.scratch, self._place)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise BadInput(f"{self._place} was filled by somebody else meanwhile. Choose another folder.") from None


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _link(path: Path, blob: Path) -> None:
    """A hard link, or a copy where the file system has none, or no more of them for this file."""
    try:
        path.hardlink_to(blob)
    except OSError as error:
        if error.errno not in (errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        shutil.copyfile(blob, path)


class BucketWriter:
    """Objects below a prefix; there is an export once there is a manifest, and until then a file that says how far it
    has come."""

    def __init__(self, bucket: "Bucket", scratch: Path, of: dict[str, Any]) -> None:
        self.scratch = scratch
        self._bucket = bucket
        self.progress = Progress(of)
        try:
            found = Progress.from_json(bucket.read(UNFINISHED))
        except NotFound:
            self.save_progress()
        except (ValueError, TypeError, KeyError):
            raise BadInput(f"{bucket}/{UNFINISHED} is not what an export leaves. Choose another prefix.") from None
        else:
            if found.of != of:
                raise BadInput(f"{bucket} holds an unfinished export of something else. Choose another prefix.")
            self.progress = found

    def put_images(self, files: list[tuple[str, str]], read: Read) -> None:
        with ThreadPoolExecutor(READERS) as readers:
            list(readers.map(lambda file: self._bucket.write(file[0], read(file[1])), files))

    def put(self, name: str) -> None:
        path = self.scratch / name
        self._bucket.upload(name, path)
        path.unlink()

    def forget(self, name: str) -> None:
        self._bucket.delete(name)

    def save_progress(self) -> None:
        self._bucket.write(UNFINISHED, self.progress.to_json().encode())

    def finish(self) -> None:
        manifest = (self.scratch / MANIFEST).read_bytes()
        try:
            self._bucket.write(MANIFEST, manifest, only_new=True)
        except Conflict:
            if self._bucket.read(MANIFEST) != manifest:  # else it is ours: only the answer to it was lost
                raise
        self._bucket.delete(UNFINISHED)
