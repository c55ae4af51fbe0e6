"""What every store does alike: the folder, the bucket, the bucket behind a cache."""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.errors import NotFound, Unavailable
from app.storage import LocalStorage, Storage
from app.storage.cache import CachedStorage
from app.storage.s3 import S3Storage
from tests.support.disks import files_below
from tests.support.s3_server import S3Server


@dataclass
class Place:
    """A store, and the files that it really consists of."""

    store: Storage
    folder: Path
    path: Callable[[str], Path]


@pytest.fixture(params=["folder", "bucket", "cached bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        images = tmp_path / "images"
        images.mkdir()
        return Place(LocalStorage(images), images, lambda key: images / key[:2] / key[2:])
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.place()
    store = S3Storage(bucket)
    below = server.folder / bucket.name / bucket.prefix
    return Place(
        CachedStorage(store, tmp_path, limit=10**7) if request.param == "cached bucket" else store,
        below,
        lambda key: below / key,
    )


def test_what_is_put_is_got_by_its_hash_and_stored_once(place: Place) -> None:
    for data in (b"one", b"", b"one", os.urandom(100_000)):
        key = place.store.put(data)
        assert key == hashlib.sha256(data).hexdigest()
        for _ in range(2):
            assert place.store.get(key) == data
    assert len(files_below(place.folder)) == 3


def test_an_unknown_key(place: Place) -> None:
    with pytest.raises(NotFound, match=f"no stored image {'0' * 64}"):
        place.store.get("0" * 64)


@pytest.mark.parametrize("damage", [b"", b"onf", b"one more"])
def test_damage_is_noticed(place: Place, damage: bytes) -> None:
    """Overwritten by somebody else, cut short, or rotten."""
    key = place.store.put(b"one")
    place.path(key).write_bytes(damage)
    with pytest.raises(Unavailable, match="is damaged"):
        place.store.get(key)


def test_an_object_deleted_by_hand(place: Place) -> None:
    key = place.store.put(b"one")
    place.path(key).unlink()
    with pytest.raises(NotFound, match="`lookalike storage check` finds all that are missing"):
        place.store.get(key)
    assert place.store.get(place.store.put(b"one")) == b"one"


def test_the_same_content_put_by_many_at_once(place: Place) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(place.store.put, [bytes(50_000)] * 8))
    assert len(keys) == 1
    assert len(files_below(place.folder)) == 1
    assert place.store.get(keys.pop()) == bytes(50_000)


def test_objects_are_listed_and_deleted(place: Place) -> None:
    keys = {place.store.put(data): len(data) for data in (b"one", b"three")}
    (place.folder / "README").write_text("not ours")
    (place.folder / "elsewhere").mkdir()
    (place.folder / "elsewhere" / ("0" * 64)).write_text("not ours")
    assert {stored.key: stored.bytes for stored in place.store.objects()} == keys
    assert all(abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=1) for stored in place.store.objects())
    for key in (*keys, "0" * 64):
        place.store.delete(key)
    assert list(place.store.objects()) == []
    assert len(files_below(place.folder)) == 2


def test_what_is_put_again_is_young_again(place: Place) -> None:
    key = place.store.put(b"one")
    long_ago = time.time() - 7 * 86400
    os.utime(place.path(key), (long_ago, long_ago))
    (stored,) = place.store.objects()
    assert stored.modified < datetime.now(UTC) - timedelta(days=6)
    place.store.put(b"one")
    (stored,) = place.store.objects()
    assert stored.modified > datetime.now(UTC) - timedelta(minutes=1)


def test_an_empty_store_holds_nothing(place: Place) -> None:
    assert list(place.store.objects()) == []
    assert place.store.sweep(before=datetime.now(UTC), remove=True) == []
