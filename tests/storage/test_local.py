"""The local image store: content by its hash, complete or absent."""

import errno
import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import NotFound, Unavailable
from app.storage import LocalStorage
from tests.support.disks import files_below, no_space, small_disk


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "images")


def test_what_is_put_is_got_by_its_hash_and_stored_once(store: LocalStorage, tmp_path: Path) -> None:
    for data in (b"one", b"", b"one", bytes(100_000)):
        key = store.put(data)
        assert key == hashlib.sha256(data).hexdigest()
        assert store.get(key) == data
    assert len(files_below(tmp_path)) == 3


def test_an_unknown_key(store: LocalStorage) -> None:
    with pytest.raises(NotFound, match="no stored image"):
        store.get("0" * 64)


@pytest.mark.parametrize("damage", [b"", b"onf", b"one more"])
def test_damage_is_noticed(store: LocalStorage, tmp_path: Path, damage: bytes) -> None:
    key = store.put(b"one")
    files_below(tmp_path)[0].write_bytes(damage)
    with pytest.raises(Unavailable, match="is damaged"):
        store.get(key)


def test_the_same_content_put_by_many_at_once(store: LocalStorage, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(store.put, [bytes(50_000)] * 40))
    assert len(keys) == 1
    assert len(files_below(tmp_path)) == 1
    assert store.get(keys.pop()) == bytes(50_000)


def test_bytes_and_name_are_on_disk_before_put_returns(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are synced under the draft's name, the folder once it holds the final one."""
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        is_there = any(len(path.name) == 62 for path in files_below(tmp_path))
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), is_there))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    store.put(b"one")
    assert synced == [(False, False), (True, True)]


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_a_disk_that_says_it_is_full_leaves_nothing_half_written(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "images").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, no_space)
        with pytest.raises(Unavailable, match=r"The disk of .*images is full\. Make room there"):
            store.put(b"one")
    assert files_below(tmp_path) == []
    assert store.get(store.put(b"one")) == b"one"


def test_other_troubles_of_the_disk_are_not_called_full(store: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        store.put(b"one")


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        store = LocalStorage(disk / "images")
        kept = store.put(os.urandom(20_000))
        with pytest.raises(Unavailable, match="is full"):
            store.put(os.urandom(60_000))
        assert len(files_below(disk)) == 1
        assert len(store.get(kept)) == 20_000
        assert len(store.get(store.put(os.urandom(10_000)))) == 10_000
