"""ZIP files on their way from a browser to a worker: kept in the home, or in the bucket, until they are imported."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol
from uuid import uuid4

from app.errors import Unavailable
from app.settings import Settings

if TYPE_CHECKING:
    from app.storage.s3 import Bucket

LARGEST = 1024 * 2**20
"""Bytes of an upload."""


class Uploads(Protocol):
    """Files by keys that `put` makes. Every method raises Unavailable if the place is not to be had."""

    def put(self, file: BinaryIO) -> str:
        """Store it; returns its key."""

    def fetch(self, key: str, into: Path) -> Path:
        """As a file of this machine, copied into the folder if it is far away. Raises NotFound if it is gone."""

    def delete(self, key: str) -> None:
        """It need not be there."""

    def stored(self) -> Iterator[tuple[str, datetime]]:
        """Keys, and since when they are there."""


def open_uploads(settings: Settings, *, for_server: bool = False) -> Uploads:
    """Nothing is looked at yet. See `open_storage`."""
    if settings.s3_bucket is None:
        return FolderUploads(settings.home / "uploads")
    from app.storage.patience import JOBS, UPLOADS  # boto3 takes a third of a second to import
    from app.storage.s3 import open_bucket

    prefix, patience = f"{settings.s3_prefix}uploads/", UPLOADS if for_server else JOBS
    return BucketUploads(open_bucket(settings, settings.s3_bucket, prefix=prefix, patience=patience))


@dataclass(frozen=True)
class FolderUploads:
    """In a folder that servers and workers share."""

    folder: Path

    def put(self, file: BinaryIO) -> str:
        key = uuid4().hex
        part = self.folder / f"{key}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            os.replace(part, self.folder / key)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Unavailable(f"The file cannot be kept on the server's disk: {error.strerror}.") from None
        return key

    def fetch(self, key: str, into: Path) -> Path:  # noqa: ARG002 - it is here already
        return self.folder / key

    def delete(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)

    def stored(self) -> Iterator[tuple[str, datetime]]:
        for path in self.folder.glob("*"):
            yield path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC)


@dataclass(frozen=True)
class BucketUploads:
    """Beside the images of the bucket."""

    bucket: "Bucket"

    def put(self, file: BinaryIO) -> str:
        key = uuid4().hex
        with tempfile.NamedTemporaryFile(prefix="lookalike-upload-") as copy:  # what has no path is sent from memory
            shutil.copyfileobj(file, copy)
            copy.flush()
            self.bucket.upload(key, Path(copy.name))
        return key

    def fetch(self, key: str, into: Path) -> Path:
        path = into / "upload.zip"
        self.bucket.download(key, path)
        return path

    def delete(self, key: str) -> None:
        self.bucket.delete(key)

    def stored(self) -> Iterator[tuple[str, datetime]]:
        for key, _, modified in self.bucket.entries():
            yield key, modified
