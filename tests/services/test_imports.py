"""Importing: bad input changes nothing, an interrupted import goes on, everything is stored once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db import Sessions
from app.errors import BadInput, Conflict, NotFound, Unavailable
from app.services.items import imports
from app.services.items.imports import ImportResult
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from tests.services.test_images import BLEMISHED, UNUSABLE
from tests.support.disks import no_space, small_disk
from tests.support.factories import make_study
from tests.support.pictures import blank_png, encoded, noise, png
from tests.support.triplet_folder import Row, TripletFolder, bring, contents, make_draft, pool

Spoil = Callable[[TripletFolder, list[Row]], object]


@pytest.fixture
def folder(tmp_path: Path) -> TripletFolder:
    return TripletFolder(tmp_path / "triplets")


@pytest.fixture
def slug(sessions: Sessions, storage: LocalStorage) -> str:
    """A draft study that holds two triplets already, so that "unchanged" says something."""
    return make_study(sessions, storage, items=2, is_open=False)


@pytest.fixture
def empty(sessions: Sessions) -> str:
    return make_draft(sessions)


def picture(column: str, data: bytes) -> Spoil:
    """Other bytes in the place of a row's picture."""
    return lambda folder, rows: (folder.path / rows[1][column]).write_bytes(data)


def huge(folder: TripletFolder, rows: list[Row]) -> None:
    with (folder.path / rows[1]["ref_path"]).open("wb") as file:
        file.write(png(1))
        file.truncate(64 * 2**20 + 1)


def cell(column: str, value: str) -> Spoil:
    return lambda _, rows: rows[1].update({column: value})


def same_picture(one: str, other: str) -> Spoil:
    """Two files with the same bytes."""
    return lambda folder, rows: (folder.path / rows[1][one]).write_bytes((folder.path / rows[1][other]).read_bytes())


def same_triplet(row: Row, like: Row, *, swapped: bool) -> None:
    left, right = ("right_path", "left_path") if swapped else ("left_path", "right_path")
    row |= {"ref_path": like["ref_path"], "left_path": like[left], "right_path": like[right]}


BAD: dict[str, tuple[Spoil, str]] = {
    "missing file": (cell("ref_path", "ref/none.png"), "ref_path 'ref/none.png' does not exist"),
    "path that leads out": (cell("left_path", "../../x.png"), "left_path '../../x.png' leads out"),
    "votes that are no number": (cell("votes", "NaN"), "votes must be a whole number"),
    "votes that do not add up": (cell("left_vote", "1"), "left_vote and right_vote must add up"),
    "id twice": (cell("id", "10"), r"the id 10 is taken by data\.csv, line 2"),
    "id of another item": (cell("id", "1"), "the id 1 is taken in the study"),
    "split": (cell("split", "dev"), "split must be"),
    "more than 64 MB": (huge, r"/ref/000/011\.png: .*64 MB"),
    "48 million pixels": (picture("ref_path", blank_png(8000, 6000)), r"/ref/000/011\.png: 8000 × 6000 pixels"),
    "different sizes": (
        picture("left_path", png(7, size=(25, 16))),
        r"its images differ in size: 011\.png is 24 × 16, 011_1\.png is 25 × 16, 011_0\.png is 24 × 16",
    ),
    "reference is left": (same_picture("ref_path", "left_path"), r"011\.png and 011_1\.png are the same image"),
    "reference is right": (same_picture("ref_path", "right_path"), r"011\.png and 011_0\.png are the same image"),
    "candidates equal": (same_picture("left_path", "right_path"), r"011_1\.png and 011_0\.png are the same image"),
    "one file named twice": (
        lambda _, rows: rows[1].update(left_path=rows[1]["right_path"]),
        r"011_0\.png and 011_0\.png are the same image",
    ),
    "triplet twice": (
        lambda _, rows: same_triplet(rows[1], rows[0], swapped=False),
        r"the same reference with the same two candidates is in data\.csv, line 2",
    ),
    "triplet twice, swapped": (
        lambda _, rows: same_triplet(rows[1], rows[0], swapped=True),
        r"the same reference with the same two candidates is in data\.csv, line 2",
    ),
    "reference in two splits": (
        lambda _, rows: rows[1].update(ref_path=rows[0]["ref_path"], split="val"),
        r"its reference image is in split 'val' here and in 'train' in data\.csv, line 2",
    ),
    **{
        f"picture: {name}": (picture("right_path", data), rf"/distort/000/011_0\.png: .*({complaint})")
        for name, (data, complaint) in (UNUSABLE | BLEMISHED).items()
        if len(data) < 2**16
    },
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named_and_changes_nothing(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, slug: str, case: str
) -> None:
    spoil, complaint = BAD[case]
    rows = folder.nights_rows(4, first=10)
    spoil(folder, rows)
    before = contents(sessions, slug)
    with pytest.raises(BadInput, match=complaint) as refused:
        bring(sessions, storage, slug, folder.nights(rows))
    assert refused.value.message.startswith("data.csv, line 3: ")
    assert contents(sessions, slug) == before


@pytest.mark.parametrize("swapped", [False, True])
def test_a_triplet_that_is_in_the_study_is_refused(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, swapped: bool
) -> None:
    rows = folder.nights_rows(3)
    bring(sessions, storage, empty, folder.nights(rows[:2]))
    same_triplet(rows[2], rows[0], swapped=swapped)
    before = contents(sessions, empty)
    with pytest.raises(BadInput, match=f"line 2: the same reference .* is in the study '{empty}'"):
        bring(sessions, storage, empty, folder.nights(rows[2:]))
    assert contents(sessions, empty) == before


def test_a_reference_keeps_the_split_it_has_in_the_study(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    rows = folder.nights_rows(2)
    bring(sessions, storage, empty, folder.nights(rows[:1]))
    rows[1] |= {"ref_path": rows[0]["ref_path"], "split": "test"}
    with pytest.raises(BadInput, match=r"line 2: .* is in split 'test' here and in 'train' in the study"):
        bring(sessions, storage, empty, folder.nights(rows[1:]))
    rows[1]["split"] = "train"
    bring(sessions, storage, empty, folder.nights(rows[1:]))
    assert [item.split for item in pool(sessions, empty)] == ["train", "train"]


def test_the_same_candidates_with_another_reference_are_another_triplet(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    rows = folder.csv_rows(1)
    names = list(rows[0].values())
    turned = [dict(zip(rows[0], names[turn:] + names[:turn], strict=True)) for turn in range(3)]
    assert bring(sessions, storage, empty, folder.csv(turned)).items == 3
    assert len({item.reference for item in pool(sessions, empty)}) == 3


def test_normalise_brings_in_what_was_refused(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    rows = folder.csv_rows(1)
    (folder.path / rows[0]["candidate_0"]).write_bytes(encoded(noise(1, mode="RGBA")))
    file = folder.csv(rows)
    with pytest.raises(BadInput, match=r"line 2: .*-0\.png: it has an alpha channel"):
        bring(sessions, storage, empty, file)
    assert contents(sessions, empty)["items"] == []
    bring(sessions, storage, empty, file, normalise=True)
    (item,) = pool(sessions, empty)
    assert storage.get(item.candidate_0) != (folder.path / rows[0]["candidate_0"]).read_bytes()
    assert storage.get(item.reference) == (folder.path / rows[0]["reference"]).read_bytes()
    assert bring(sessions, storage, empty, file, normalise=True) == ImportResult(items=0, images=3, already_there=1)


def test_a_rotated_image_has_its_upright_size(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    rows = folder.csv_rows(1)
    (folder.path / rows[0]["candidate_1"]).write_bytes(BLEMISHED["rotated JPEG"][0])
    with pytest.raises(BadInput, match=r"differ in size: .* 24 × 16, .* 24 × 16, .* 16 × 24"):
        bring(sessions, storage, empty, folder.csv(rows), normalise=True)
    assert contents(sessions, empty)["items"] == []


@pytest.mark.parametrize("state", ["open", "paused", "closed"])
def test_a_study_that_has_started_takes_no_more(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, state: str
) -> None:
    slug = make_study(sessions, storage, items=2, assignment__practice=0, assignment__sentinels=0)
    with sessions.begin() as session:
        {"open": lifecycle.open_study, "paused": lifecycle.pause, "closed": lifecycle.close}[state](session, slug=slug)
    before = contents(sessions, slug)
    with pytest.raises(Conflict, match="has started"):
        bring(sessions, storage, slug, folder.csv(folder.csv_rows(1)))
    assert contents(sessions, slug) == before


def test_an_unknown_study(sessions: Sessions, storage: LocalStorage, folder: TripletFolder) -> None:
    with pytest.raises(NotFound, match="There is no study 'nobody'"):
        bring(sessions, storage, "nobody", folder.csv(folder.csv_rows(1)))


def test_everything_a_csv_may_say_arrives(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    extras = [
        {"prompt": 'a "red"\nboot, left', "source": "made", "split": "test", "votes_0": "3", "votes_1": "2"},
        {"prompt": "", "source": "", "split": "", "votes_0": "", "votes_1": ""},
    ]
    rows = [row | extra for row, extra in zip(folder.csv_rows(2), extras, strict=True)]
    assert bring(sessions, storage, empty, folder.csv(rows)) == ImportResult(items=2, images=6, already_there=0)
    first, second = pool(sessions, empty)
    assert (first.prompt, first.source, first.split) == ('a "red"\nboot, left', "made", "test")
    assert (first.recorded_0, first.recorded_1, first.votes_0, first.votes_1) == (3, 2, 0, 0)
    assert (second.prompt, second.source, second.recorded_0, second.recorded_1) == (None, None, None, None)
    assert second.split in ("train", "val", "test")
    for item, row in zip((first, second), rows, strict=True):
        for column in ("reference", "candidate_0", "candidate_1"):
            assert storage.get(getattr(item, column)) == (folder.path / row[column]).read_bytes()


def stop_at(what: str, done: int) -> imports.Report:
    def report(now: str, so_far: int, total: int) -> None:
        if now == what and so_far >= done:
            raise KeyboardInterrupt

    return report


def times_stored(storage: LocalStorage, folder: TripletFolder) -> list[int]:
    """How often the store holds each picture of the folder, under whatever name."""
    stored = [path.read_bytes() for path in storage._folder.rglob("*") if path.is_file()]
    return [stored.count(file.read_bytes()) for file in folder.path.rglob("*.png")]


def image_rows(sessions: Sessions) -> int:
    with sessions() as session:
        return session.execute(text("SELECT count(*) FROM images")).scalar_one()


def assert_whole(sessions: Sessions, storage: LocalStorage, folder: TripletFolder, slug: str, rows: list[Row]) -> None:
    """The study holds exactly these rows, in order, numbered from 0, and every picture is stored once."""
    items = pool(sessions, slug)
    assert [item.number for item in items] == list(range(len(rows)))
    assert [storage.get(item.candidate_1) for item in items] == [
        (folder.path / row["candidate_1"]).read_bytes() for row in rows
    ]
    assert set(times_stored(storage, folder)) == {1}


@pytest.mark.parametrize("stage", [("checking images", 8), ("adding items", 3), ("adding items", 6)])
def test_an_interrupted_import_goes_on_where_it_stopped(
    sessions: Sessions,
    storage: LocalStorage,
    folder: TripletFolder,
    empty: str,
    monkeypatch: pytest.MonkeyPatch,
    stage: tuple[str, int],
) -> None:
    monkeypatch.setattr(imports, "IMAGES_PER_CHUNK", 4)
    monkeypatch.setattr(imports, "ROWS_PER_CHUNK", 3)
    rows, known = folder.csv_rows(10), image_rows(sessions)
    file = folder.csv(rows)
    with pytest.raises(KeyboardInterrupt):
        bring(sessions, storage, empty, file, report=stop_at(*stage))
    there = {("checking images", 8): 0, ("adding items", 3): 0, ("adding items", 6): 3}[stage]
    assert len(pool(sessions, empty)) == there
    assert bring(sessions, storage, empty, file) == ImportResult(items=10 - there, images=30, already_there=there)
    assert_whole(sessions, storage, folder, empty, rows)
    assert image_rows(sessions) == known + 30
    assert bring(sessions, storage, empty, file) == ImportResult(items=0, images=30, already_there=10)
    assert_whole(sessions, storage, folder, empty, rows)


KILLED = """
import os, signal, sys
from pathlib import Path
from app.db import open_sessions
from app.services.items import imports
from app.services.items.item_files import read_csv
from app.settings import Settings
from app.storage import LocalStorage

def report(what, done, total):
    if what == "adding items" and done == 6:
        os.kill(os.getpid(), signal.SIGKILL)  # the second chunk is written, and not committed

imports.ROWS_PER_CHUNK = 3
slug, file = sys.argv[1:]
with open_sessions(Settings()) as sessions:
    storage = LocalStorage(Settings().images)
    imports.import_items(sessions, storage, slug=slug, file=read_csv(Path(file)), normalise=False, report=report)
"""


def test_an_import_that_was_killed_goes_on(
    sessions: Sessions, storage: LocalStorage, settings: Settings, folder: TripletFolder, empty: str
) -> None:
    rows = folder.csv_rows(8)
    file = folder.csv(rows)
    environment = {"LOOKALIKE_HOME": str(settings.home), "DATABASE_URL": settings.database_url.get_secret_value()}
    killed = subprocess.run([sys.executable, "-c", KILLED, empty, str(file)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(pool(sessions, empty)) == 3
    assert bring(sessions, storage, empty, file) == ImportResult(items=5, images=24, already_there=3)
    assert_whole(sessions, storage, folder, empty, rows)


def interrupted(
    sessions: Sessions, storage: LocalStorage, slug: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bring in the first two rows of a file and no more."""
    with monkeypatch.context() as patch:
        patch.setattr(imports, "ROWS_PER_CHUNK", 2)
        with pytest.raises(KeyboardInterrupt):
            bring(sessions, storage, slug, file, report=stop_at("adding items", 3))
    assert len(pool(sessions, slug)) == 2


def test_numbers_stay_free_for_the_rest_of_an_interrupted_file(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, others = folder.csv_rows(4), folder.csv_rows(3)
    first, second = folder.csv(rows, "first.csv"), folder.csv(others, "second.csv")
    interrupted(sessions, storage, empty, first, monkeypatch)
    assert bring(sessions, storage, empty, second).items == 3
    assert bring(sessions, storage, empty, first) == ImportResult(items=2, images=12, already_there=2)
    assert_whole(sessions, storage, folder, empty, [*rows, *others])


def test_what_came_in_meanwhile_is_named_when_an_import_goes_on(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = folder.csv_rows(4)
    first, second = folder.csv(rows, "first.csv"), folder.csv(rows[3:], "second.csv")
    interrupted(sessions, storage, empty, first, monkeypatch)
    bring(sessions, storage, empty, second)
    before = contents(sessions, empty)
    with pytest.raises(BadInput, match=r"first\.csv, line 5: the same reference .* is in the study"):
        bring(sessions, storage, empty, first)
    assert contents(sessions, empty) == before


def test_the_same_table_over_other_pictures_is_another_file(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, empty: str
) -> None:
    folders = [TripletFolder(tmp_path / name) for name in ("one", "two")]
    rows = [{"reference": "r.png", "candidate_0": "0.png", "candidate_1": "1.png"}]
    for number, folder in enumerate(folders):
        for name in rows[0].values():
            folder.picture(name)
        result = bring(sessions, storage, empty, folder.csv(rows))
        assert (result.items, result.already_there) == (1, 0)
        assert len(pool(sessions, empty)) == number + 1


def test_two_imports_of_one_file_at_once_bring_it_in_once(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "IMAGES_PER_CHUNK", 5)
    monkeypatch.setattr(imports, "ROWS_PER_CHUNK", 2)
    rows = folder.csv_rows(12)
    file = folder.csv(rows)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: bring(sessions, storage, empty, file), range(3)))
    assert_whole(sessions, storage, folder, empty, rows)


def test_imports_that_share_a_triplet_at_once_say_so(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes in after the check of all rows, between two chunks."""
    monkeypatch.setattr(imports, "ROWS_PER_CHUNK", 2)
    rows = folder.csv_rows(4)
    first, second = folder.csv(rows, "first.csv"), folder.csv(rows[3:], "second.csv")
    add_chunk = imports._add_chunk

    def add_chunk_beside_another(*args: object, **names: object) -> bool:
        if len(pool(sessions, empty)) == 2:
            with monkeypatch.context() as patch:
                patch.setattr(imports, "_add_chunk", add_chunk)
                bring(sessions, storage, empty, second)
        return add_chunk(*args, **names)  # type: ignore[arg-type]

    monkeypatch.setattr(imports, "_add_chunk", add_chunk_beside_another)
    with pytest.raises(Conflict, match="another import"):
        bring(sessions, storage, empty, first)
    monkeypatch.setattr(imports, "_add_chunk", add_chunk)
    with pytest.raises(BadInput, match=r"first\.csv, line 5: the same reference .* is in the study"):
        bring(sessions, storage, empty, first)
    assert len(pool(sessions, empty)) == 3


def test_pictures_shared_by_triplets_are_stored_once(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str
) -> None:
    """Copies under other names and in another study too."""
    rows, known = folder.csv_rows(2), image_rows(sessions)
    rows.append(
        rows[1] | {"candidate_0": folder.picture("copy.png", (folder.path / rows[0]["reference"]).read_bytes())}
    )
    assert bring(sessions, storage, empty, folder.csv(rows)) == ImportResult(items=3, images=6, already_there=0)
    elsewhere = make_draft(sessions)
    assert bring(sessions, storage, elsewhere, folder.csv(rows)).items == 3
    assert image_rows(sessions) == known + 6
    assert set(times_stored(storage, folder)) == {1}


def test_known_pictures_are_not_decoded_again(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.csv(folder.csv_rows(2))
    bring(sessions, storage, empty, file)
    monkeypatch.setattr(imports.images, "check", None)
    assert bring(sessions, storage, empty, file).already_there == 2


def test_progress_ends_at_the_whole(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ROWS_PER_CHUNK", 2)
    seen: list[tuple[str, int, int]] = []
    bring(sessions, storage, empty, folder.csv(folder.csv_rows(5)), report=lambda *step: seen.append(step))
    assert [step for step in seen if step[0] == "checking images"][-1] == ("checking images", 15, 15)
    assert [done for what, done, _ in seen if what == "adding items"][-1] == 5
    assert all(done <= total for _, done, total in seen)


def test_a_disk_that_fills_up_during_an_import(
    sessions: Sessions, storage: LocalStorage, folder: TripletFolder, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "IMAGES_PER_CHUNK", 4)
    rows = folder.csv_rows(4)
    file, replace = folder.csv(rows), os.replace

    def fills_up(source: str, target: Path) -> None:
        if sum(times_stored(storage, folder)) >= 6:
            no_space()
        replace(source, target)

    before = contents(sessions, empty)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fills_up)
        with pytest.raises(Unavailable, match="is full"):
            bring(sessions, storage, empty, file)
    assert contents(sessions, empty) == before
    assert not list(storage._folder.rglob(".draft*"))
    assert bring(sessions, storage, empty, file).items == 4
    assert_whole(sessions, storage, folder, empty, rows)


def test_a_full_disk(sessions: Sessions, folder: TripletFolder, tmp_path: Path, empty: str) -> None:
    rows = folder.csv_rows(10)
    file, before = folder.csv(rows), contents(sessions, empty)
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        storage = LocalStorage(disk)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(40_000))
        with pytest.raises(Unavailable, match="is full"):
            bring(sessions, storage, empty, file)
        assert contents(sessions, empty) == before
        assert not list(disk.rglob(".draft*"))
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        assert bring(sessions, storage, empty, file).items == 10
        assert_whole(sessions, storage, folder, empty, rows)
