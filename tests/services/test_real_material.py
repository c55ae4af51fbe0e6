"""Imports of real data sets: NIGHTS in its own layout, and triplets of others as CSV."""

import csv
import shutil
from pathlib import Path

import pytest

from app.db import Sessions
from app.errors import BadInput
from app.services.items.imports import ImportResult
from app.storage import LocalStorage
from tests.support.triplet_folder import Row, TripletFolder, bring, make_draft, pool


def read(path: Path, *, rows: int | None = None) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))[:rows]


def test_nights_with_its_votes(sessions: Sessions, storage: LocalStorage, shared: Path) -> None:
    slug, nights = make_draft(sessions), shared / "data/nights60"
    assert bring(sessions, storage, slug, nights) == ImportResult(items=60, images=180, already_there=0)
    rows = {int(row["id"]): row for row in read(nights / "data.csv")}
    items = pool(sessions, slug)
    assert [item.number for item in items] == sorted(rows)
    for item in items:
        row = rows[item.number]
        for stored, column in (
            (item.reference, "ref_path"),
            (item.candidate_0, "left_path"),
            (item.candidate_1, "right_path"),
        ):
            assert storage.get(stored) == (nights / row[column]).read_bytes()
        left, right, votes = int(row["left_vote"]), int(row["right_vote"]), int(row["votes"])
        assert (item.recorded_0, item.recorded_1) == (left * votes, right * votes)
        assert (item.votes_0, item.votes_1) == (0, 0), "recorded votes are no judgments"
        assert (item.split, item.prompt) == (row["split"], row["prompt"])
        assert item.is_imagenet == (row["is_imagenet"] == "True")
    assert any(row["left_path"].endswith("_1.jpg") for row in rows.values()), "the trap is in the material"
    assert bring(sessions, storage, slug, nights) == ImportResult(items=0, images=180, already_there=60)


def test_material_with_ties(sessions: Sessions, storage: LocalStorage, shared: Path, tmp_path: Path) -> None:
    slug, folder = make_draft(sessions), TripletFolder(tmp_path)
    shutil.copytree(shared / "data/material100/images", tmp_path / "images")
    rows = read(shared / "data/material100/triplets.csv", rows=300)
    assert bring(sessions, storage, slug, folder.csv(rows)).items == 300
    items = pool(sessions, slug)
    assert [(item.recorded_0, item.recorded_1) for item in items] == [
        (int(row["votes_0"]), int(row["votes_1"])) for row in rows
    ]
    assert any(item.recorded_0 == item.recorded_1 for item in items)
    assert len({item.reference for item in items}) <= 100
    splits: dict[str, set[str]] = {}
    for item in items:
        splits.setdefault(item.reference, set()).add(item.split)
    assert {len(found) for found in splits.values()} == {1}, "no reference is in two splits"


def test_shoes_without_votes(sessions: Sessions, storage: LocalStorage, shared: Path, tmp_path: Path) -> None:
    slug, folder = make_draft(sessions), TripletFolder(tmp_path)
    shutil.copytree(shared / "data/zappos60/images", tmp_path / "images")
    rows = read(shared / "data/zappos60/triplets.csv", rows=300)
    with pytest.raises(BadInput, match="looks like training's judged triplets"):
        bring(sessions, storage, slug, folder.csv(rows))
    names = {"reference": "reference", "closer": "candidate_0", "farther": "candidate_1"}
    renamed = [{names[column]: value for column, value in row.items()} for row in rows]
    assert bring(sessions, storage, slug, folder.csv(renamed)).items == 300
    assert {(item.recorded_0, item.recorded_1) for item in pool(sessions, slug)} == {(None, None)}
