"""Planted damage of every kind: found, told, and put right where it can be."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import sessionmaker

from app.db import Sessions, make_engine
from app.errors import BadInput
from app.services.items import images, storage_check
from app.services.items.images import DISPLAY, LOSSLESS
from app.services.items.storage_check import Finding, StorageCheck, check_storage
from app.storage import LocalStorage, Storage
from app.storage.s3 import S3Storage
from tests.conftest import make_database
from tests.support.factories import make_slug, make_study
from tests.support.s3_server import S3Server
from tests.support.triplet_folder import silent

LONG_AGO = time.time() - 3 * 86400


@dataclass
class Scene:
    """A study of 12 images with two derivatives each, and the files of its store."""

    sessions: Sessions
    storage: Storage
    path: Callable[[str], Path]
    slug: str = ""
    files: dict[tuple[str, str], str] = field(default_factory=dict)

    def check(self, *, repair: bool = False) -> StorageCheck:
        return check_storage(self.sessions, self.storage, repair=repair, report=silent)

    def age(self, *keys: str) -> None:
        for key in keys:
            os.utime(self.path(key), (LONG_AGO, LONG_AGO))


@pytest.fixture(scope="module")
def own_database(server_url: str) -> str:
    """Every row of a database counts here, so that it has to be one of our own."""
    return make_database(server_url, make_slug())


def empty(connection: Connection) -> None:
    """Without the triggers of the tables that are only ever added to."""
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("TRUNCATE studies, images CASCADE"))


@pytest.fixture(params=["folder", "bucket"])
def scene(request: pytest.FixtureRequest, own_database: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(own_database, pool_size=2)
    with engine.begin() as connection:
        empty(connection)
    if request.param == "folder":
        scene = Scene(sessionmaker(engine), LocalStorage(tmp_path), lambda key: tmp_path / key[:2] / key[2:])
    else:
        server: S3Server = request.getfixturevalue("s3")
        bucket = server.place()
        below = server.folder / bucket.name / bucket.prefix
        scene = Scene(sessionmaker(engine), S3Storage(bucket), lambda key: below / key)
    scene.slug = make_study(scene.sessions, scene.storage, items=4, is_open=False)
    with scene.sessions.begin() as session:
        originals = list(session.scalars(text("SELECT sha256 FROM images ORDER BY sha256")))
        images.add_derivatives(session, scene.storage, sha256s=originals, derivative=LOSSLESS)
    with scene.sessions() as session:
        for number, image in enumerate(originals):
            scene.files[f"{number}", "original"] = image
            for kind, key in session.execute(
                text("SELECT kind, sha256 FROM derivatives WHERE image = :i"), {"i": image}
            ):
                scene.files[f"{number}", kind] = key
    yield scene
    engine.dispose()


def told(check: StorageCheck) -> set[tuple[str, str, str, str]]:
    return {(finding.trouble, finding.what, finding.key, finding.outcome) for finding in check.findings}


def test_a_sound_store(scene: Scene) -> None:
    for repair in (False, True):
        check = scene.check(repair=repair)
        assert (check.images, check.objects, check.findings, check.is_sound) == (12, 36, [], True)
        assert check.bytes == sum(scene.path(key).stat().st_size for key in scene.files.values())


def test_damage_of_every_kind(scene: Scene) -> None:
    """What can be put right is; the same study can be shown again, and the rest is named."""
    files, storage = scene.files, scene.storage
    derivatives = {name: storage.get(files[name]) for name in files if name[1] != "original"}
    for name in (("0", DISPLAY), ("1", LOSSLESS), ("2", "original")):
        scene.path(files[name]).unlink()
    for name in (("3", DISPLAY), ("4", LOSSLESS), ("5", "original")):
        scene.path(files[name]).write_bytes(b"rot")
    scene.path(files["5", DISPLAY]).unlink()
    old, young = storage.put(b"old orphan"), storage.put(b"young orphan")
    scene.age(old, files["6", "original"], files["7", DISPLAY])

    def wrong(outcome: str) -> set[tuple[str, str, str, str]]:
        return {
            ("missing", DISPLAY, files["0", DISPLAY], outcome),
            ("missing", LOSSLESS, files["1", LOSSLESS], outcome),
            ("damaged", DISPLAY, files["3", DISPLAY], outcome),
            ("damaged", LOSSLESS, files["4", LOSSLESS], outcome),
            ("orphan", "", old, outcome),
        }

    lost = {
        ("missing", "original", files["2", "original"], "lost"),
        ("damaged", "original", files["5", "original"], "lost"),
        ("missing", DISPLAY, files["5", DISPLAY], "lost"),
    }
    looked = scene.check()
    assert told(looked) == wrong("found") | lost
    assert told(scene.check()) == told(looked), "looking changes nothing"
    repaired = scene.check(repair=True)
    assert told(repaired) == wrong("repaired") | lost
    assert not repaired.is_sound
    assert told(scene.check()) == lost
    for name in (("0", DISPLAY), ("1", LOSSLESS), ("3", DISPLAY), ("4", LOSSLESS)):
        assert storage.get(files[name]) == derivatives[name]
    assert not scene.path(old).exists()
    assert scene.path(young).exists(), "its row may be on its way"


def test_a_lost_original_is_named_with_the_items_that_show_it(scene: Scene) -> None:
    with scene.sessions() as session:
        (image,) = session.scalars(text("SELECT reference FROM items WHERE number = 3"))
    data = scene.storage.get(image)
    scene.path(image).unlink()
    (finding,) = scene.check(repair=True).findings
    assert finding == Finding("missing", "original", image, image, "lost", f"{scene.slug}: 3")
    scene.path(image).write_bytes(data)  # from a backup
    assert scene.check().is_sound


def test_what_interrupted_puts_left_behind(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0" * 64
    if isinstance(scene.storage, S3Storage):
        bucket = scene.storage.bucket
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=bucket.prefix + key)
        name = key
    else:
        draft = scene.path(key).with_name(".draft-killed")
        draft.parent.mkdir(exist_ok=True)
        draft.write_bytes(b"half")
        name = f"00/{draft.name}"
    assert scene.check(repair=True).findings == [], "it may be under way"
    monkeypatch.setattr(storage_check, "GRACE", timedelta(hours=-1))
    for repair in (False, True):
        assert told(scene.check(repair=repair)) == {("leftover", "", name, "repaired" if repair else "found")}
    assert scene.check().findings == []


def test_another_encoder_makes_other_bytes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row follows, so that images of one trial still have one length."""
    scene.path(scene.files["0", DISPLAY]).unlink()
    monkeypatch.setattr(images, "_display", lambda _: b"other bytes")
    assert scene.check(repair=True).is_sound
    with scene.sessions() as session:
        row = session.execute(
            text("SELECT sha256, bytes FROM derivatives WHERE image = :image AND kind = :kind"),
            {"image": scene.files["0", "original"], "kind": DISPLAY},
        ).one()
    assert (scene.storage.get(row.sha256), row.bytes) == (b"other bytes", 11)


def test_the_wrong_database_removes_nothing(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        empty(session.connection())
    scene.age(*scene.files.values())
    assert len(scene.check().findings) == 36
    with pytest.raises(BadInput, match="36 of 36 stored objects have no row in this database"):
        scene.check(repair=True)
    assert len(list(scene.storage.objects())) == 36


def test_an_orphan_that_gets_its_row_meanwhile_stays(
    scene: Scene, own_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that began before the removal is waited for."""
    data = scene.storage.get(scene.files["0", "original"])
    other = images.check(data, name="made")
    orphan = scene.storage.put(b"orphan")
    scene.age(orphan)
    order: list[str] = []
    sweep = type(scene.storage).delete

    def delete(storage: Storage, key: str) -> None:
        order.append("removed")
        sweep(storage, key)

    monkeypatch.setattr(type(scene.storage), "delete", delete)
    importing = create_engine(own_database.replace("postgresql://", "postgresql+psycopg://"))
    with ThreadPoolExecutor(1) as thread:
        with sessionmaker(importing).begin() as session:
            images.store(session, scene.storage, [other])
            checking = thread.submit(scene.check, repair=True)
            time.sleep(0.3)
            session.execute(
                text("INSERT INTO derivatives (image, kind, sha256, bytes) VALUES (:image, 'other', :key, 6)"),
                {"image": scene.files["1", "original"], "key": orphan},
            )
            order.append("committed")
        checking.result()
    importing.dispose()
    assert order == ["committed"]
    assert scene.storage.get(orphan) == b"orphan"
