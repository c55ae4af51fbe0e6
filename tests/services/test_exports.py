"""Exports: complete or absent, the same bytes for the same state, and what their readers make of them."""

import csv
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from pyarrow import parquet
from sqlalchemy import text

from app.db import Sessions
from app.errors import BadInput, NotFound, Unavailable
from app.keys import Keys
from app.paths import ROOT
from app.services import study_lookup
from app.services.assignments import exclusions
from app.services.assignments.lifecycle import by_token
from app.services.exports import export as export_export
from app.services.exports import queries, tables
from app.services.exports.export import ExportResult, export_study
from app.services.exports.queries import Snapshot
from app.services.studies import lifecycle
from app.services.study_lookup import current_protocol
from app.settings import Settings
from app.storage import LocalStorage
from datafiles.nights import NIGHTS_COLUMNS
from tests.support.assignments import answer, judge_all, recorded_majority, sign_up, sit
from tests.support.disks import no_space, small_disk
from tests.support.factories import make_study
from tests.support.triplet_folder import TripletFolder, bring, contents, make_draft, pool, silent


def export(sessions: Sessions, storage: LocalStorage, slug: str, out: Path) -> ExportResult:
    return export_study(sessions, storage, slug=slug, out=out, report=silent)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Triplet(NamedTuple):
    id: int
    target: float
    reference: bytes
    left: bytes
    right: bytes


def official_reader(root: Path, split: str) -> Iterator[Triplet]:
    """What DreamSim's TwoAFCDataset does: rows with six votes or more, columns by position but for the split."""
    with (root / "data.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    named = {name: place for place, name in enumerate(header)}
    for row in rows:
        if float(row[named["votes"]]) < 6:
            continue
        is_imagenet = {"True": True, "False": False}[row[named["is_imagenet"]]]
        kept = {
            "train": row[named["split"]] == "train",
            "val": row[named["split"]] == "val",
            "test_imagenet": row[named["split"]] == "test" and is_imagenet,
            "test_no_imagenet": row[named["split"]] == "test" and not is_imagenet,
        }[split]
        if kept:
            images = [(root / row[column]).read_bytes() for column in (4, 5, 6)]
            for image in images:
                Image.open(io.BytesIO(image)).convert("RGB").load()
            yield Triplet(int(row[0]), float(row[2]), *images)


SPLITS = ("train", "val", "test_imagenet", "test_no_imagenet")


@pytest.fixture(scope="module")
def nights(
    sessions: Sessions, storage: LocalStorage, keys: Keys, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, ExportResult]:
    """The real triplets, judged to the end as their recorded majority says; exported once."""
    slug = make_draft(sessions, **{"assignment.trials": "60", "assignment.sentinels": "2", "assignment.practice": "1"})
    bring(sessions, storage, slug, shared / "data/nights60")
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    assert judge_all(sessions, keys, slug, recorded_majority) == 10, "one person a round"
    out = tmp_path_factory.mktemp("nights") / "export"
    return slug, out, export(sessions, storage, slug, out)


def test_the_official_reader_yields_every_kept_triplet_with_its_majority(
    nights: tuple[str, Path, ExportResult], shared: Path
) -> None:
    _, out, result = nights
    assert result.counts["kept"] == 60
    source = {int(row["id"]): row for row in lines(shared / "data/nights60/data.csv")}
    found = {triplet.id: triplet for split in SPLITS for triplet in official_reader(out, split)}
    assert found.keys() == source.keys()
    for number, row in source.items():
        triplet = found[number]
        assert triplet.target == float(row["right_vote"])
        names = (row["ref_path"], row["left_path"], row["right_path"])
        assert triplet[2:] == tuple((shared / "data/nights60" / name).read_bytes() for name in names)
    for split in ("train", "val"):
        wanted = {number for number, row in source.items() if row["split"] == split}
        assert {triplet.id for triplet in official_reader(out, split)} == wanted
    for split, is_imagenet in (("test_imagenet", "True"), ("test_no_imagenet", "False")):
        wanted = {n for n, row in source.items() if (row["split"], row["is_imagenet"]) == ("test", is_imagenet)}
        assert {triplet.id for triplet in official_reader(out, split)} == wanted


def test_columns_order_and_paths(nights: tuple[str, Path, ExportResult]) -> None:
    _, out, _ = nights
    assert (out / "data.csv").read_bytes().split(b"\n")[0].decode() == ",".join(NIGHTS_COLUMNS)
    header = (out / "unfiltered.csv").read_bytes().split(b"\n")[0].decode()
    assert header == ",".join((*NIGHTS_COLUMNS, "status", "dropped_round"))
    rows = lines(out / "data.csv")
    assert [int(row["id"]) for row in rows] == sorted(int(row["id"]) for row in rows)
    for row in rows:
        thousands, rest = divmod(int(row["id"]), 1000)
        assert row["ref_path"] == f"ref/{thousands:03d}/{rest:03d}.jpg"
        assert row["left_path"] == f"distort/{thousands:03d}/{rest:03d}_0.jpg"
        assert row["right_path"] == f"distort/{thousands:03d}/{rest:03d}_1.jpg"
        assert (row["votes"], {row["left_vote"], row["right_vote"]}) == ("10", {"0", "1"})


def test_the_same_state_has_the_same_bytes_and_version(
    sessions: Sessions, storage: LocalStorage, nights: tuple[str, Path, ExportResult], tmp_path: Path
) -> None:
    slug, out, first = nights
    second = export(sessions, storage, slug, tmp_path / "deep" / "again")
    assert (second.version, second.manifest_sha256, second.counts) == (1, first.manifest_sha256, first.counts)
    assert tree(tmp_path / "deep" / "again") == tree(out)
    assert len(tree(out)) == 3 * 60 + 7


def test_the_manifest_names_every_file_with_its_hash(nights: tuple[str, Path, ExportResult]) -> None:
    slug, out, result = nights
    data = (out / "manifest.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == result.manifest_sha256
    manifest = json.loads(data)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in tree(out).items()}
    del files["manifest.json"]
    assert manifest["files"] == files
    assert manifest["study"]["name"] == slug
    assert manifest["protocol"]["document"]["min_votes"] == 6
    assert manifest["counts"] == result.counts
    assert result.counts["judgments"] == 10 * (60 + 2) + 10


def test_an_export_can_be_imported_again(
    sessions: Sessions, storage: LocalStorage, nights: tuple[str, Path, ExportResult]
) -> None:
    slug, out, _ = nights
    again = make_draft(sessions)
    assert bring(sessions, storage, again, out).items == 60
    same = ("number", "reference", "candidate_0", "candidate_1", "split", "is_imagenet", "prompt")
    before, after = pool(sessions, slug), pool(sessions, again)
    assert [[getattr(item, name) for name in same] for item in after] == [
        [getattr(item, name) for name in same] for item in before
    ]
    assert [(item.recorded_0, item.recorded_1) for item in after] == [(item.votes_0, item.votes_1) for item in before]


PEOPLE = ("recruiters-id-of-Ada", "recruiters-id-of-Ben", "recruiters-id-of-Eve", "recruiters-id-of-Flo")


@pytest.fixture(scope="module")
def small(sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five items that share pictures: three kept, one dropped, one short; one sitting is excluded, one unfinished."""
    folder = TripletFolder(tmp_path_factory.mktemp("small"))
    protocol = {"rounds": "3", "min_votes": "3", "assignment.trials": "5", "assignment.practice": "1"}
    slug = make_draft(sessions, **protocol, **{"assignment.sentinels": "1", "assignment.sentinel_misses_allowed": "0"})
    rows = [row | {"prompt": f'thing {n}, "so called"\nin two lines'} for n, row in enumerate(folder.csv_rows(5))]
    rows[1]["candidate_0"] = rows[0]["candidate_0"]
    rows[2]["candidate_1"] = folder.picture("copy.png", (folder.path / rows[0]["reference"]).read_bytes())
    bring(sessions, storage, slug, folder.csv(rows))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    ada, ben, eve, flo = PEOPLE
    sit(sessions, keys, slug, ada, lambda item: item.number % 2)
    sit(sessions, keys, slug, ben, lambda item: 0 if item.number == 1 else item.number % 2)
    token = sit(sessions, keys, slug, eve, lambda item: 1 - item.number % 2)
    with sessions.begin() as session:
        exclusions.exclude(session, assignment=by_token(session, token), reason="clicks at random", actor="tests")
    answer(sessions, sign_up(sessions, keys, slug, flo), lambda item: item.number % 2, most=3)
    return slug


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "export"


def test_repeated_pictures_are_hard_links(sessions: Sessions, storage: LocalStorage, small: str, out: Path) -> None:
    export(sessions, storage, small, out)
    inodes: dict[bytes, list[int]] = {}
    for path in [*out.glob("ref/**/*.png"), *out.glob("distort/**/*.png")]:
        inodes.setdefault(path.read_bytes(), []).append(path.stat().st_ino)
        assert path.stat().st_nlink == 1 + (path.name in ("000.png", "000_0.png", "001_0.png", "002_1.png"))
    assert sorted(map(len, inodes.values())) == [1] * 11 + [2] * 2
    assert all(len(set(found)) == 1 for found in inodes.values())
    assert (out / "distort/000/000_0.png").samefile(out / "distort/000/001_0.png")
    assert (out / "ref/000/000.png").samefile(out / "distort/000/002_1.png")


@pytest.mark.parametrize("trouble", [errno.EMLINK, errno.EPERM, errno.ENOTSUP])
def test_where_there_are_no_hard_links_there_are_copies(
    sessions: Sessions, storage: LocalStorage, small: str, out: Path, monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    def refuse(*args: object, **names: object) -> None:
        raise OSError(trouble, os.strerror(trouble))

    export(sessions, storage, small, out)
    monkeypatch.setattr(os, "link", refuse)
    export(sessions, storage, small, out.with_name("copies"))
    assert tree(out.with_name("copies")) == tree(out)
    assert {path.stat().st_nlink for path in out.with_name("copies").rglob("*.png")} == {1}


def test_every_fate_is_in_unfiltered_and_the_kept_in_data(
    sessions: Sessions, storage: LocalStorage, small: str, out: Path
) -> None:
    result = export(sessions, storage, small, out)
    unfiltered, data = lines(out / "unfiltered.csv"), lines(out / "data.csv")
    fates = Counter(row["status"] for row in unfiltered)
    assert fates == {"kept": 3, "dropped": 1, "short": 1}
    assert {name: result.counts[name] for name in ("items", "kept", "dropped", "short", "valid_votes")} == {
        "items": 5, "kept": 3, "dropped": 1, "short": 1, "valid_votes": 13,
    }  # fmt: skip
    for row in unfiltered:
        number, agreed = int(row["id"]), str(float(int(row["id"]) % 2))
        if row["status"] == "dropped":
            assert (number, row["dropped_round"], row["votes"]) == (1, "2", "2")
            assert (row["left_vote"], row["right_vote"]) == ("0.5", "0.5")
        else:
            assert (row["dropped_round"], row["right_vote"]) == ("", agreed)
            assert row["votes"] == ("3" if row["status"] == "kept" else "2")
        assert row["prompt"] == f'thing {number}, "so called"\nin two lines'
    kept = {row["id"]: row for row in unfiltered if row["status"] == "kept"}
    assert {row["id"] for row in data} == kept.keys()
    for row in data:
        assert (row["left_vote"], row["right_vote"]) == (str(1 - int(row["id"]) % 2), str(int(row["id"]) % 2))
        same = [name for name in NIGHTS_COLUMNS if name not in ("left_vote", "right_vote")]
        assert [row[name] for name in same] == [kept[row["id"]][name] for name in same]


def test_parquet_has_every_judgment_void_ones_with_their_reason(
    sessions: Sessions, storage: LocalStorage, small: str, out: Path
) -> None:
    result = export(sessions, storage, small, out)
    table = parquet.read_table(out / "judgments.parquet")
    assert table.schema.equals(tables.JUDGMENTS)
    rows = table.to_pylist()
    assert len(rows) == result.counts["judgments"] == (5 + 2) + (5 + 2) + (4 + 2) + (3 + 2)
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    void = [row for row in rows if row["excluded"]]
    assert len(void) == 6
    assert {(row["exclusion_reason"], row["excluded_by"]) for row in void} == {("clicks at random", "tests")}
    assert all(row["exclusion_reason"] is None for row in rows if not row["excluded"])
    for row in rows:
        assert (row["side"] == "left") == (row["choice"] == row["left_candidate"])
        assert (row["item"] is None) == (row["role"] != "pool") == (row["answer"] is not None)
        assert (row["rt_ms"], row["input"], json.loads(row["timing"])) == (812.5, "mouse", {"shown": 3})
        assert row["received_at"].tzinfo is not None
        if row["role"] == "pool" and not row["excluded"]:
            assert row["choice"] == (0 if (row["item"], row["round"]) == (1, 2) else row["item"] % 2)


def test_parquet_items_and_assignments(sessions: Sessions, storage: LocalStorage, small: str, out: Path) -> None:
    export(sessions, storage, small, out)
    items = parquet.read_table(out / "items.parquet")
    assert items.schema.equals(tables.ITEMS)
    assert [(row["number"], row["status"]) for row in items.to_pylist()] == [
        (int(row["id"]), row["status"]) for row in lines(out / "unfiltered.csv")
    ]
    sittings = parquet.read_table(out / "assignments.parquet")
    assert sittings.schema.equals(tables.ASSIGNMENTS)
    assert [
        (row["state"], row["excluded"], row["trials"], row["answered"], row["sentinels"], row["sentinels_missed"])
        for row in sittings.to_pylist()
    ] == [
        ("completed", False, 7, 7, 1, 0),
        ("completed", False, 7, 7, 1, 0),
        ("completed", True, 6, 6, 1, 0),
        ("active", False, 6, 5, 1, 0),
    ]


def test_people_are_pseudonyms_everywhere(sessions: Sessions, storage: LocalStorage, small: str, out: Path) -> None:
    export(sessions, storage, small, out)
    with sessions() as session:
        pseudonyms = set(
            session.scalars(
                text("""
                    SELECT p.pseudonym FROM participants p JOIN assignments a ON a.participant_id = p.id
                    JOIN studies s ON s.id = a.study_id WHERE s.slug = :slug
                """),
                {"slug": small},
            )
        )
    assert len(pseudonyms) == 4
    for name, column in (("judgments.parquet", "participant"), ("assignments.parquet", "participant")):
        assert set(parquet.read_table(out / name)[column].to_pylist()) == pseudonyms
    everything = [*tree(out).values()]  # and what compression hides:
    everything += [repr(parquet.read_table(path).to_pylist()).encode() for path in out.glob("*.parquet")]
    assert any(b"clicks at random" in data for data in everything), "the search finds what is there"
    for person in PEOPLE:
        assert not any(person.encode() in data for data in everything)


def test_one_more_vote_makes_another_version(
    sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path
) -> None:
    slug = make_study(sessions, storage, items=2, assignment__sentinels=0, assignment__practice=0)
    token = sign_up(sessions, keys, slug, "somebody")
    answer(sessions, token, lambda _: 0, most=1)
    versions = [export(sessions, storage, slug, tmp_path / name).version for name in ("a", "b")]
    answer(sessions, token, lambda _: 0)
    versions += [export(sessions, storage, slug, tmp_path / name).version for name in ("c", "d")]
    assert versions == [1, 1, 2, 2]
    assert tree(tmp_path / "a") == tree(tmp_path / "b") != tree(tmp_path / "c") == tree(tmp_path / "d")
    with sessions() as session:
        rows = session.execute(
            text(
                "SELECT e.version, e.manifest_sha256 FROM exports e JOIN studies s ON s.id = e.study_id WHERE slug = :s"
            ),
            {"s": slug},
        ).all()
    assert sorted(rows) == [
        (1, hashlib.sha256((tmp_path / "a/manifest.json").read_bytes()).hexdigest()),
        (2, hashlib.sha256((tmp_path / "c/manifest.json").read_bytes()).hexdigest()),
    ]


def test_shares_of_votes_where_nothing_is_filtered(
    sessions: Sessions, storage: LocalStorage, keys: Keys, out: Path
) -> None:
    slug = make_study(
        sessions, storage, items=3, preset="bapps-2afc", votes_per_round=3, min_votes=3, assignment__sentinels=0,
        assignment__practice=0,
    )  # fmt: skip
    assert judge_all(sessions, keys, slug, lambda _: 0) == 3
    with sessions.begin() as session:
        session.execute(
            text("""
                UPDATE items i SET votes_0 = 2, votes_1 = 1, first_dissent = 3 FROM studies s
                WHERE s.id = i.study_id AND s.slug = :slug AND i.number = 1
            """),
            {"slug": slug},
        )
    result = export(sessions, storage, slug, out)
    assert (result.counts["kept"], result.counts["dropped"]) == (3, 0)
    first, second, _ = lines(out / "data.csv")
    assert (first["left_vote"], first["right_vote"], first["votes"]) == ("1.0", "0.0", "3")
    assert float(second["left_vote"]) == pytest.approx(2 / 3)
    assert float(second["left_vote"]) + float(second["right_vote"]) == pytest.approx(1)
    again = make_draft(sessions)
    bring(sessions, storage, again, out)
    assert [(item.recorded_0, item.recorded_1) for item in pool(sessions, again)] == [(3, 0), (2, 1), (3, 0)]


def test_prompts_that_look_like_formulas_come_back_as_they_were(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, out: Path
) -> None:
    """Out as cells that no spreadsheet runs, and in again."""
    prompts = ["=SUM(A1:A2)", "-1 degree", "@home", "+1", "＝1", "\ufeff=1", "'=told apart", "'apostrophe", "a = b"]
    slug, again, folder = make_draft(sessions), make_draft(sessions), TripletFolder(tmp_path / "folder")
    # As a cell each is marked; written by hand the mark may be missing where nothing could be taken off.
    cells = [f"'{prompt}" if prompt == "'=told apart" else prompt for prompt in prompts]
    rows = [row | {"prompt": cell} for row, cell in zip(folder.csv_rows(len(prompts)), cells, strict=True)]
    bring(sessions, storage, slug, folder.csv(rows))
    assert [item.prompt for item in pool(sessions, slug)] == prompts
    export(sessions, storage, slug, out)
    written = [row["prompt"] for row in lines(out / "unfiltered.csv")]
    assert written == [prompt if prompt in ("'apostrophe", "a = b") else f"'{prompt}" for prompt in prompts]
    (out / "data.csv").write_bytes((out / "unfiltered.csv").read_bytes().replace(b",status,dropped_round", b""))
    (out / "data.csv").write_text((out / "data.csv").read_text().replace(",short,\n", "\n"))
    bring(sessions, storage, again, out)
    assert [item.prompt for item in pool(sessions, again)] == prompts


@pytest.mark.parametrize("items", [0, 2])
def test_a_draft_has_an_export_too(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, out: Path, items: int
) -> None:
    slug, folder = make_draft(sessions), TripletFolder(tmp_path / "folder")
    if items:
        bring(sessions, storage, slug, folder.csv(folder.csv_rows(items)))
    result = export(sessions, storage, slug, out)
    assert (result.counts["items"], result.counts["kept"], result.counts["short"]) == (items, 0, items)
    assert lines(out / "data.csv") == []
    assert len(lines(out / "unfiltered.csv")) == items
    for name, schema in (
        ("judgments", tables.JUDGMENTS), ("assignments", tables.ASSIGNMENTS), ("items", tables.ITEMS)
    ):  # fmt: skip
        table = parquet.read_table(out / f"{name}.parquet")
        assert table.schema.equals(schema)
        assert table.num_rows == (items if name == "items" else 0)
    assert "still **draft**" in (out / "README.md").read_text()
    assert len(json.loads((out / "manifest.json").read_text())["files"]) == 6 + 3 * items


def test_the_card_says_which_file_is_which(sessions: Sessions, storage: LocalStorage, small: str, out: Path) -> None:
    export(sessions, storage, small, out)
    card = (out / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert f'pretty_name: "{small}"' in front
    for name in ("items.parquet", "judgments.parquet", "assignments.parquet"):
        assert f"data_files: {name}" in front
    for path in out.iterdir():
        assert f"`{path.name}" in body or path.name == "README.md"
    assert "| kept | 3 |" in body


def test_candidates_in_several_splits_are_counted(
    sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path, out: Path
) -> None:
    folder = TripletFolder(tmp_path / "folder")
    sitting = {"assignment.practice": "0", "assignment.sentinels": "0", "rounds": "1", "min_votes": "1"}
    slug = make_draft(sessions, **sitting)
    rows = [row | {"split": split} for row, split in zip(folder.csv_rows(3), ("train", "val", "val"), strict=True)]
    rows[1]["candidate_0"] = rows[0]["candidate_1"]  # in two splits
    rows[2]["candidate_1"] = rows[1]["candidate_1"]  # in one
    bring(sessions, storage, slug, folder.csv(rows))
    assert export(sessions, storage, slug, out).counts["candidate_images_in_several_splits"] == 0, "none is kept yet"
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    judge_all(sessions, keys, slug, lambda _: 1)
    counts = export(sessions, storage, slug, out.with_name("judged")).counts
    assert (counts["kept"], counts["candidate_images_in_several_splits"]) == (3, 1)


def test_numbers_beyond_a_thousand(sessions: Sessions, storage: LocalStorage, tmp_path: Path, out: Path) -> None:
    folder, slug = TripletFolder(tmp_path / "folder"), make_draft(sessions)
    rows = [
        row | {"id": number} for row, number in zip(folder.nights_rows(3), ("1000", "99999", "1234567"), strict=True)
    ]
    bring(sessions, storage, slug, folder.nights(rows))
    export(sessions, storage, slug, out)
    found = {str(path.relative_to(out / "ref")) for path in out.glob("ref/*/*")}
    assert found == {"001/000.png", "099/999.png", "1234/567.png"}


def test_a_folder_in_use_is_refused(sessions: Sessions, storage: LocalStorage, small: str, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").write_text("mine")
    for place, complaint in (
        (tmp_path / "used", "is not an empty folder"),
        (tmp_path / "used/file", "is not an empty folder"),
        (tmp_path / "used/file/below", "is a file"),
        (tmp_path / "used/file/far/below", "is a file"),
    ):
        with pytest.raises(BadInput, match=complaint):
            export(sessions, storage, small, place)
    assert tree(tmp_path) == {"used/file": b"mine"}


def test_an_empty_folder_a_link_to_one_and_a_folder_below_nothing(
    sessions: Sessions, storage: LocalStorage, small: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for place in (tmp_path / "empty", tmp_path / "link", tmp_path / "a/b/c"):
        export(sessions, storage, small, place)
        assert (place / "manifest.json").is_file()
        assert place.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "link").is_symlink()
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_that_fills_up_meanwhile_is_not_touched(
    sessions: Sessions, storage: LocalStorage, small: str, out: Path
) -> None:
    def somebody_else(what: str, done: int, total: int) -> None:
        out.mkdir(exist_ok=True)
        (out / "file").write_text("theirs")

    with pytest.raises(BadInput, match="meanwhile"):
        export_study(sessions, storage, slug=small, out=out, report=somebody_else)
    assert tree(out.parent) == {"export/file": b"theirs"}


def test_an_unknown_study_leaves_nothing_behind(sessions: Sessions, storage: LocalStorage, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no study 'nobody'"):
        export(sessions, storage, "nobody", tmp_path / "a/b")
    assert list(tmp_path.iterdir()) == []


def versions_of(sessions: Sessions, slug: str) -> int:
    return len(contents(sessions, slug)["exports"])


@pytest.mark.parametrize(
    ("owner", "name"), [(Path, "write_bytes"), (os, "link"), (os, "replace"), (Path, "write_text"), (os, "mkdir")]
)
def test_a_full_disk_leaves_nothing_behind(
    sessions: Sessions, storage: LocalStorage, keys: Keys, out: Path, monkeypatch: pytest.MonkeyPatch,
    owner: Any, name: str,
) -> None:  # fmt: skip
    slug = make_study(sessions, storage, items=2, is_open=False)
    out.parent.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, no_space)
        with pytest.raises(Unavailable, match=r"The disk of .* is full\. Make room there and export again"):
            export(sessions, storage, slug, out)
    assert list(out.parent.iterdir()) == []
    assert versions_of(sessions, slug) == 0
    assert export(sessions, storage, slug, out).version == 1


def test_a_disk_that_is_really_full(sessions: Sessions, storage: LocalStorage, tmp_path: Path) -> None:
    slug = make_study(sessions, storage, items=50, is_open=False)
    with small_disk(tmp_path / "disk", kilobytes=100) as disk:
        with pytest.raises(Unavailable, match="is full"):
            export(sessions, storage, slug, disk / "export")
        assert list(disk.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=9m,nr_inodes=9000", str(disk)], check=True)
        assert export(sessions, storage, slug, disk / "export").counts["items"] == 50


@pytest.mark.parametrize("name", ["write_parquet", "write_manifest", "card", "file_sha256", "_remember"])
def test_an_export_that_fails_in_the_middle_is_absent(
    sessions: Sessions, storage: LocalStorage, out: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    slug = make_study(sessions, storage, items=2, is_open=False)

    def fail(*args: object, **names: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(tables if name == "write_parquet" else export_export, name, fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            export(sessions, storage, slug, out)
    assert not out.exists()
    assert versions_of(sessions, slug) == 0
    assert export(sessions, storage, slug, out).version == 1
    assert list(out.parent.iterdir()) == [out]


def test_a_damaged_picture_in_the_store_stops_an_export(
    sessions: Sessions, settings: Settings, out: Path, tmp_path: Path
) -> None:
    storage = LocalStorage(tmp_path / "store")
    slug = make_study(sessions, storage, items=2, is_open=False)
    (item, _) = pool(sessions, slug)
    (tmp_path / "store" / item.reference[:2] / item.reference[2:]).write_bytes(b"rot")
    with pytest.raises(Unavailable, match="is damaged"):
        export(sessions, storage, slug, out)
    assert not out.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from app.db import open_sessions
from app.services.exports import export
from app.services.exports.export import export_study
from app.settings import Settings
from app.storage import LocalStorage

def report(what, done, total):
    if done == 1:
        os.kill(os.getpid(), signal.SIGKILL)

export.AT_A_TIME = 1
with open_sessions(Settings()) as sessions:
    export_study(sessions, LocalStorage(Settings().images), slug=sys.argv[1], out=Path(sys.argv[2]), report=report)
"""


def test_an_export_that_was_killed_is_absent(
    sessions: Sessions, storage: LocalStorage, settings: Settings, small: str, out: Path
) -> None:
    assert settings.database_url is not None
    environment = {"LOOKALIKE_HOME": str(settings.home), "DATABASE_URL": settings.database_url.get_secret_value()}
    killed = subprocess.run([sys.executable, "-c", KILLED, small, str(out)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    export(sessions, storage, small, out)
    assert (out / "manifest.json").exists()


def test_everything_is_read_from_one_moment(sessions: Sessions, storage: LocalStorage, keys: Keys, out: Path) -> None:
    """A vote that comes while an export is written is in none of its files."""
    slug = make_study(sessions, storage, items=2, assignment__sentinels=0, assignment__practice=0)
    token = sign_up(sessions, keys, slug, "somebody")

    def vote(what: str, done: int, total: int) -> None:
        answer(sessions, token, lambda _: 0)

    result = export_study(sessions, storage, slug=slug, out=out, report=vote)
    assert (result.counts["valid_votes"], result.counts["judgments"]) == (0, 0)
    assert {row["votes"] for row in lines(out / "unfiltered.csv")} == {"0"}
    assert parquet.read_table(out / "items.parquet")["votes_0"].to_pylist() == [0, 0]
    assert export(sessions, storage, slug, out.with_name("later")).counts["judgments"] == 2


def large(sessions: Sessions, storage: LocalStorage, *, items: int) -> str:
    """A draft of many items that show the same few pictures in ever new triplets."""
    small = make_study(sessions, storage, items=12, is_open=False)
    slug = make_draft(sessions)
    with sessions.begin() as session:
        session.execute(
            text("""
                WITH shown AS (
                    SELECT unnest(ARRAY[reference, candidate_0, candidate_1]) AS image
                    FROM items i JOIN studies s ON s.id = i.study_id WHERE s.slug = :small
                )
                INSERT INTO items (study_id, role, number, reference, candidate_0, candidate_1, split, prompt)
                SELECT (SELECT id FROM studies WHERE slug = :slug), 'pool', row_number() OVER () - 1,
                       r.image, a.image, b.image, 'train', repeat('a long prompt ', 40)
                FROM shown r JOIN shown a ON a.image <> r.image JOIN shown b ON b.image > a.image AND b.image <> r.image
                LIMIT :items
            """),
            {"small": small, "slug": slug, "items": items},
        )
    return slug


def test_rows_are_streamed_from_the_server(sessions: Sessions, storage: LocalStorage) -> None:
    slug = large(sessions, storage, items=2000)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        snapshot = Snapshot(session, study_id=study.id, protocol=current_protocol(session, study.id))
        with snapshot:
            rows = snapshot.pool()
            assert session.scalar(text("SELECT count(*) FROM pg_cursors")) == 0, (
                "nothing is read before it is asked for"
            )
            assert next(rows).number == 0
            assert session.scalar(text("SELECT count(*) FROM pg_cursors")) == 1, "the rest waits on the server"
            assert sum(1 for _ in rows) == 1999
            next(snapshot.judgments(), None)
            next(snapshot.pool())
        assert session.scalar(text("SELECT count(*) FROM pg_cursors")) == 0, "nothing stays open"


def test_memory_does_not_grow_with_the_study(
    sessions: Sessions, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "BATCH", 100)
    monkeypatch.setattr(tables, "BATCH", 100)
    export(sessions, storage, large(sessions, storage, items=100), tmp_path / "warm")
    peaks = []
    for items in (200, 1500):
        slug = large(sessions, storage, items=items)
        tracemalloc.start()
        export(sessions, storage, slug, tmp_path / str(items))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Seven times the rows: their further prompts alone would be 700 kB.
    assert peaks[1] < peaks[0] + 300_000


@pytest.mark.parametrize("name", ["judgments", "items", "assignments"])
def test_every_column_is_documented(name: str) -> None:
    section = (ROOT / "docs/export.md").read_text().split(f"## {name}.parquet")[1].split("\n## ")[0]
    assert [column for column in getattr(tables, name.upper()).names if f"`{column}`" not in section] == []
