"""The cache: bounded, shared, and never believed."""

import fcntl
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest

from app.errors import Unavailable
from app.storage import LocalStorage
from app.storage.cache import CachedStorage
from tests.support.disks import files_below, no_space, small_disk


class Counted(LocalStorage):
    """The store far away: it says how often it was read."""

    reads = 0

    def get(self, key: str) -> bytes:
        self.reads += 1
        return super().get(key)


@pytest.fixture
def far(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "far")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("??/*"))


def test_what_was_read_is_read_from_near(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(b"one")
    assert [cache.get(key) for _ in range(3)] == [b"one"] * 3
    assert far.reads == 1
    assert CachedStorage(far, folder, limit=10_000).get(key) == b"one", "it outlives the process"
    assert far.reads == 1


def test_a_damaged_copy_is_fetched_anew(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(b"one")
    cache.get(key)
    (copy,) = folder.glob("??/*")
    copy.write_bytes(b"rot")
    assert [cache.get(key), cache.get(key)] == [b"one"] * 2
    assert (far.reads, copy.read_bytes()) == (2, b"one")


def test_damage_in_the_store_does_not_get_in(far: Counted, folder: Path, tmp_path: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(b"one")
    files_below(tmp_path / "far")[0].write_bytes(b"rot")
    with pytest.raises(Unavailable, match="is damaged"):
        cache.get(key)
    assert list(folder.glob("??/*")) == []


def test_what_is_deleted_is_gone_from_both(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(b"one")
    cache.get(key)
    cache.delete(key)
    assert list(folder.glob("??/*")) == list(far.objects()) == []


def test_what_was_not_used_for_longest_goes_first(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    keys = [cache.put(bytes([number]) * 1000) for number in range(11)]
    for key in keys[:10]:
        cache.get(key)
    for age, path in enumerate(sorted(folder.glob("??/*"), key=lambda path: keys.index(path.parent.name + path.name))):
        os.utime(path, (time.time() - 1000 + age,) * 2)
    cache.get(keys[0])  # used just now
    cache.get(keys[10])  # needs room: a tenth is freed
    kept = {path.parent.name + path.name for path in folder.glob("??/*")}
    assert kept == {keys[0], *keys[3:]}
    assert size(folder) <= 10_000


def test_an_image_too_large_for_the_cache_is_served(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(bytes(1001))
    assert cache.get(key) == bytes(1001)
    assert size(folder) == 0


def test_the_count_is_made_again_when_it_is_lost(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    for number in range(9):
        cache.get(cache.put(bytes([number]) * 1000))
    for garbage in ("", "many"):
        (folder / "bytes").write_text(garbage)
        cache.get(cache.put(os.urandom(1000)))
        assert size(folder) <= 10_000
        assert int((folder / "bytes").read_text()) == size(folder)


def test_what_a_killed_process_left_is_counted_and_goes_like_the_rest(far: Counted, folder: Path) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    cache.get(cache.put(b"one"))
    draft = folder / "ab" / ".draft-of-the-dead"
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(bytes(9900))
    os.utime(draft, (time.time() - 10,) * 2)
    (folder / "bytes").write_text("")
    cache.get(cache.put(bytes(1000)))
    assert not draft.exists()
    assert int((folder / "bytes").read_text()) == size(folder) == 1003


@pytest.mark.parametrize("call", ["mkdir", "replace"])
def test_a_full_disk_costs_speed_alone(far: Counted, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    cache = CachedStorage(far, folder, limit=10_000)
    key = cache.put(b"one")
    monkeypatch.setattr(os, call, no_space)
    assert [cache.get(key), cache.get(key)] == [b"one"] * 2
    assert far.reads == 2


def test_a_disk_that_is_really_full(far: Counted, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        cache = CachedStorage(far, disk / "cache", limit=10_000_000)
        for number in range(10):
            data = bytes([number]) * 20_000
            assert cache.get(cache.put(data)) == data


LIMIT, IMAGES = 200_000, 60


def _reads(far: Path, folder: Path, seed: int) -> None:
    cache, rng = CachedStorage(LocalStorage(far), folder, limit=LIMIT), random.Random(seed)
    keys = sorted(stored.key for stored in cache.objects())
    for _ in range(60):
        cache.get(rng.choice(keys))
        with (folder / "bytes").open() as count:  # nobody changes it while we look
            fcntl.flock(count, fcntl.LOCK_EX)
            assert size(folder) <= LIMIT


def test_many_processes_share_it_within_its_bound(far: Counted, folder: Path, tmp_path: Path) -> None:
    for number in range(IMAGES):
        far.put(random.Random(number).randbytes(10_000))
    processes = [
        multiprocessing.get_context("fork").Process(target=_reads, args=(tmp_path / "far", folder, seed))
        for seed in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert size(folder) > LIMIT / 2
    assert not list(folder.glob("??/.draft-*"))
