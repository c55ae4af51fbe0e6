"""Which store a deployment has, and what other places are called."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import BadInput
from app.settings import Settings
from app.storage.base import Storage
from app.storage.local import LocalStorage

if TYPE_CHECKING:
    from app.storage.s3 import Bucket


def open_storage(settings: Settings, *, for_server: bool = False) -> Storage:
    """The bucket that S3_BUCKET names, or the folder in the home.

    Args:
        for_server: keep what is read from S3 in the home, up to S3_CACHE_SIZE, as servers read the same images again
            and again; and have nobody wait for a bucket that does not answer.
    """
    if settings.s3_bucket is None:
        return LocalStorage(settings.images)
    from app.storage.cache import CachedStorage  # boto3 takes a third of a second to import
    from app.storage.patience import JOBS, REQUESTS
    from app.storage.s3 import S3Storage, open_bucket

    patience = REQUESTS if for_server else JOBS
    store = S3Storage(open_bucket(settings, settings.s3_bucket, prefix=settings.s3_prefix, patience=patience))
    return CachedStorage(store, settings.image_cache, limit=settings.s3_cache_size) if for_server else store


def open_place(settings: Settings, place: str, *, for_server: bool = False) -> "Path | Bucket":
    """A folder, or what of a bucket begins with a prefix: s3://BUCKET/PREFIX.

    Raises:
        BadInput: it should be a bucket and names none.
    """
    if not place.startswith("s3://"):
        return Path(place)
    from app.storage.patience import JOBS, REQUESTS
    from app.storage.s3 import open_bucket

    name, _, prefix = place.removeprefix("s3://").partition("/")
    if not name:
        raise BadInput(f"{place} names no bucket: it should be s3://BUCKET/PREFIX.")
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return open_bucket(settings, name, prefix=folder, patience=REQUESTS if for_server else JOBS)
