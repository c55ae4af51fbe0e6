import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import draw_images, write_manifest
from training.data import read_triplets
from training.errors import DataError
from training.jnd import read_jnd
from training.things import read_things


def save(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_images(seed, 1)[0]).save(path)


def test_reads_kept_items_of_an_export_by_column_name(export: Path) -> None:
    with (export / "data.csv").open() as file:
        rows = list(csv.reader(file))
    with (export / "data.csv").open("w", newline="") as file:  # columns in another order, names the same
        csv.writer(file).writerows([row[::-1] for row in rows])
    (export / "manifest.json").unlink()

    triplets = read_triplets(export)

    assert len(triplets) == 22
    assert triplets.targets[:4].tolist() == [0, 1, 0, 1]
    assert [triplets.images[i].name for i in triplets.indices[5]] == ["005.png", "005_0.png", "005_1.png"]
    assert triplets.votes[:3].tolist() == [6, 7, 8]
    assert triplets.categories is not None
    assert triplets.categories[1] == "thing 1"


def test_status_filter_reads_unfiltered_shares(export: Path) -> None:
    dropped = read_triplets(export, statuses=["dropped"])
    assert dropped.targets.tolist() == [0.25, 0.25]
    assert len(read_triplets(export, statuses=["kept", "dropped"])) == 24


def test_an_export_s_files_may_be_in_capitals_or_have_a_byte_order_mark(export: Path) -> None:
    (export / "unfiltered.csv").rename(export / "UNFILTERED.CSV")
    write_manifest(export)
    text = (export / "manifest.json").read_text()
    (export / "manifest.json").write_text(text, encoding="utf-8-sig")
    assert len(read_triplets(export, statuses=["dropped"])) == 2


def test_min_votes_and_splits(export: Path) -> None:
    triplets = read_triplets(export)
    assert set(triplets.with_votes(8).votes) == {8}
    assert len(triplets.split("train")) + len(triplets.split("val")) + len(triplets.split("test")) == 22
    imagenet = triplets.split("test_imagenet")
    assert len(imagenet) + len(triplets.split("test_no_imagenet")) == len(triplets.split("test"))
    assert len(imagenet.images) == 3 * len(imagenet)
    with pytest.raises(DataError, match="no triplet in split 'dev'; its splits are: test, train, val"):
        triplets.split("dev")
    with pytest.raises(DataError, match="no triplet with 20 votes"):
        triplets.with_votes(20)


def test_real_nights_rows(shared: Path) -> None:
    triplets = read_triplets(shared / "data/nights60")
    assert len(triplets) == 60
    assert set(triplets.targets.tolist()) == {0.0, 1.0}
    # left is candidate 0 whatever the file is called
    row = triplets.ids.tolist().index("6")
    assert triplets.images[triplets.indices[row, 1]].name == "006_1.jpg"


def test_real_vote_counts_become_shares(shared: Path) -> None:
    triplets = read_triplets(shared / "data/material100")
    assert len(triplets) == 22801
    assert triplets.targets[:3].tolist() == [0.25, 0.5, 0.5]
    assert 0 < len(triplets.with_majority()) < len(triplets)
    assert set(triplets.with_majority().targets.tolist()) == {0.0}  # this file names the majority first


def test_closer_farther_means_candidate_0(shared: Path) -> None:
    triplets = read_triplets(shared / "data/zappos60")
    assert len(triplets) == 98198
    assert not triplets.targets.any()
    with pytest.raises(DataError, match="does not say how many votes"):
        triplets.with_votes(3)


def test_bapps_folder(tmp_path: Path) -> None:
    for kind, share in (("cnn", 0.2), ("color", 1.0)):
        for name in ("ref", "p0", "p1"):
            save(tmp_path / kind / name / "000001.png")
        (tmp_path / kind / "judge").mkdir()
        np.save(tmp_path / kind / "judge" / "000001.npy", np.array([share], dtype=np.float32))
    triplets = read_triplets(tmp_path)
    assert triplets.targets.tolist() == pytest.approx([0.2, 1.0])
    assert triplets.categories is not None
    assert triplets.categories.tolist() == ["cnn", "color"]
    assert len(read_triplets(tmp_path / "cnn")) == 1


def test_things_lines(tmp_path: Path) -> None:
    for number in (3, 10, 7):
        save(tmp_path / f"{number}.png")
    (tmp_path / "choices.txt").write_text("3 10 7\n7 3 10\n")
    choices = read_things(tmp_path, tmp_path / "choices.txt")
    assert [[choices.images[i].stem for i in row] for row in choices.indices] == [
        ["3", "10", "7"],
        ["7", "3", "10"],
    ]
    (tmp_path / "choices.txt").write_bytes("\ufeff3,10.0,7\r\n\r\n7\t3\t10\r\n".encode())
    assert np.array_equal(read_things(tmp_path, tmp_path / "choices.txt").indices, choices.indices)
    (tmp_path / "choices.txt").write_text("3 10 7\n7 3\n")
    with pytest.raises(DataError, match="line 2: must be three image numbers"):
        read_things(tmp_path, tmp_path / "choices.txt")


def test_jnd_pairs_of_an_export(tmp_path: Path) -> None:
    for name in ("0_ref", "0_a", "1_ref", "1_a"):
        save(tmp_path / f"jnd/{name}.png")
    (tmp_path / "jnd.csv").write_text(
        "id,pair,image_a,image_b,same_votes,different_votes,votes,same,split,is_imagenet,prompt,status\n"
        "0,0,jnd/0_ref.png,jnd/0_a.png,2,1,3,0.6666666666666666,train,True,a cup,kept\n"
        "0,1,jnd/0_ref.png,jnd/0_ref.png,3,0,3,1.0,train,True,a cup,kept\n"
        "1,0,jnd/1_ref.png,jnd/1_a.png,0,4,4,0.0,test,False,a dog,kept\n"
        "2,0,jnd/1_ref.png,jnd/0_a.png,0,0,0,,test,False,a dog,short\n"
    )
    write_manifest(tmp_path)
    pairs = read_jnd(tmp_path)
    assert pairs.same.tolist() == pytest.approx([2 / 3, 1, 0])  # a pair without votes says nothing
    assert [pairs.images[i].name for i in pairs.split("test").indices[0]] == ["1_ref.png", "1_a.png"]
    with pytest.raises(DataError, match="no pair in split 'val'; its splits are: test, train"):
        pairs.split("val")
    (tmp_path / "jnd.csv").write_text((tmp_path / "jnd.csv").read_text().replace(",2,1,3,0.66", ",2,1,3,0.76"))
    with pytest.raises(DataError, match=r"jnd\.csv is not the file that was exported"):
        read_jnd(tmp_path)


def test_jnd_pairs(shared: Path, tmp_path: Path) -> None:
    pairs = read_jnd(shared / "data/jnd30")
    assert len(pairs.same) == 30
    assert pairs.same[0] == pytest.approx(1 - 4 / 35)
    for name in ("p0", "p1"):
        save(tmp_path / "cnn" / name / "1.png")
    (tmp_path / "cnn" / "same").mkdir()
    np.save(tmp_path / "cnn" / "same" / "1.npy", np.float32(2 / 3))
    assert read_jnd(tmp_path).same.tolist() == pytest.approx([2 / 3])
    (tmp_path / "pairs.csv").write_text("first,second\na.png,b.png\n")
    with pytest.raises(DataError, match=r"two image columns .* found first, second"):
        read_jnd(tmp_path / "pairs.csv")


def remove_image(export: Path) -> None:
    (export / "ref/000/003.png").unlink()


def change_table(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("thing 1", "thing 2"))


def drop_column(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("right_vote", "right"))
    write_manifest(export)


def label_outside(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("\n0,1,0,", "\n0,1.5,-0.5,"))
    write_manifest(export)


def label_nan(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("\n0,1,0,", "\r\n0,nan,0,"))
    write_manifest(export)


def shares_too_large(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("\n0,1,0,", "\n0,1,1,"))
    write_manifest(export)


def escape(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text().replace("ref/000/000.png", "../../secret.png"))
    write_manifest(export)


def short_row(export: Path) -> None:
    table = export / "data.csv"
    table.write_text(table.read_text() + "99,1,0\n")
    write_manifest(export)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (remove_image, r"incomplete: 1 of its files are missing, the first is .*ref/000/003\.png"),
        (change_table, r"data\.csv is not the file that was exported: its sha256 is"),
        (drop_column, r"data\.csv: the column 'right_vote' is missing; it has 'id', 'left_vote', 'right',"),
        (label_outside, r"data\.csv, line 2: left_vote must be between 0 and 1 \(got '1\.5'\)"),
        (label_nan, r"data\.csv, line 2: left_vote must be between 0 and 1 \(got 'nan'\)"),
        (shares_too_large, r"data\.csv, line 2: left_vote and right_vote must add up to 1 \(got 1 and 1\)"),
        (escape, r"\.\./\.\./secret\.png leads out of the table's folder"),
        (short_row, r"data\.csv, line 24: 3 values for 10 columns"),
    ],
)
def test_damaged_exports_are_refused(export: Path, damage: Callable[[Path], None], complaint: str) -> None:
    damage(export)
    with pytest.raises(DataError, match=complaint):
        read_triplets(export)


def saved_again(export: Path, change: Callable[[str], str | bytes]) -> Path:
    """The export's table after a way through another program, which knows of no manifest."""
    (export / "manifest.json").unlink()
    table = export / "data.csv"
    changed = change(table.read_text())
    table.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    return export


@pytest.mark.parametrize(
    "change",
    [
        lambda text: re.sub(r"(,[01],[01],\d),", r"\1.0,", text),
        lambda text: text.replace("True", "TRUE").replace("False", "FALSE"),
        lambda text: text.replace("True", "1").replace("False", "0"),
        lambda text: text.replace(",", ";").encode("utf-16"),
        lambda text: re.sub("^", ",", text, count=1) and re.sub(r"(?m)^(?=\d)", "7,", "," + text),
        lambda text: re.sub(r"([a-z]+)/000/", r"\1\\000\\", text),
        lambda text: text.replace("ref_path", " Ref_Path ").replace(".png", ".PNG"),
        lambda text: text + "," * 9 + "\n\n",
    ],
    ids=["6.0", "TRUE", "1", "UTF-16 and ;", "index", "backslashes", "capitals", "empty rows"],
)
def test_a_table_that_was_saved_again_reads_the_same(export: Path, change: Callable[[str], str | bytes]) -> None:
    before = read_triplets(export)
    after = read_triplets(saved_again(export, change))
    assert before.images == after.images
    for name in ("indices", "targets", "votes", "ids", "splits", "is_imagenet", "categories"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert after.is_imagenet is not None
    assert after.is_imagenet.any()


def test_what_nobody_has_judged_is_left_out_and_all_of_it_is_an_error(export: Path) -> None:
    def unjudged(rows: str) -> Callable[[str], str]:
        return lambda text: re.sub(rf"(?m)^({rows}),[01],[01],\d,", r"\1,0.0,0.0,0,", text)

    table = (export / "data.csv").read_bytes()
    assert len(read_triplets(saved_again(export, unjudged("3")))) == 21
    (export / "data.csv").write_bytes(table)
    write_manifest(export)
    with pytest.raises(DataError, match=r"data\.csv has no triplet that anybody has judged"):
        read_triplets(saved_again(export, unjudged(r"\d+")))
    counted = export / "triplets.csv"
    counted.write_text("reference,candidate_0,candidate_1,votes_0,votes_1\na,b,c,0,0\na,b,c,NA,NA\n")
    with pytest.raises(DataError, match="anybody has judged"):
        read_triplets(counted)


def test_links_of_a_local_dataset_are_followed(export: Path, tmp_path: Path) -> None:
    before = read_triplets(export)
    assert before.sha256 is not None
    image = export / "ref/000/003.png"
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    after = read_triplets(export)
    assert after.images == before.images
    assert after.sha256 is not None
    assert after.sha256[image.resolve()] == before.sha256[image]


def test_missing_images_without_a_manifest(export: Path) -> None:
    (export / "manifest.json").unlink()
    remove_image(export)
    with pytest.raises(DataError, match=r"1 of 66 images are missing, the first is ref/000/003\.png"):
        read_triplets(export)


def test_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="known layouts are an export or NIGHTS folder"):
        read_triplets(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="the column 'reference' is missing; it has 'a', 'b'"):
        read_triplets(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("reference,candidate_0,candidate_1,votes_0,votes_1\na,b,c,-1,2\n")
    with pytest.raises(DataError, match=r"table\.csv, line 2: votes_0 must be a whole number .* \(got '-1'\)"):
        read_triplets(tmp_path / "table.csv")


def test_a_pickled_share_is_not_opened(tmp_path: Path) -> None:
    for name in ("ref", "p0", "p1"):
        save(tmp_path / name / "1.png")
    (tmp_path / "judge").mkdir()
    np.save(tmp_path / "judge" / "1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="is not a plain array"):
        read_triplets(tmp_path)
