"""Reading triplet files: what is refused, in which words, and what comes through unharmed."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from app.errors import BadInput
from app.services.items.item_files import read_csv, read_nights, read_table
from datafiles.errors import BadFile
from datafiles.formulas import unguard
from datafiles.nights import NIGHTS_COLUMNS
from datafiles.tables import Limits, open_table
from tests.support.triplet_folder import Row, TripletFolder, table


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[TripletFolder, list[Row]]:
    folder = TripletFolder(tmp_path_factory.mktemp("nights"))
    return folder, folder.nights_rows(3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[TripletFolder, list[Row]]:
    folder = TripletFolder(tmp_path_factory.mktemp("plain"))
    return folder, folder.csv_rows(3)


def unquoted(columns: Iterable[str], rows: Sequence[Row]) -> str:
    """CSV as a careless program writes it."""
    columns = list(columns)
    return "\n".join(",".join(cells) for cells in [columns, *([row[name] for name in columns] for row in rows)])


def without(columns: tuple[str, ...], *names: str) -> list[str]:
    return [column for column in columns if column not in names]


def test_columns_of_nights_are_exactly_those_of_nights(nights: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = nights
    full = [row | {"colour": "red", "name": "1", "Split ": "val"} for row in rows]
    for columns, complaint in (
        (without(NIGHTS_COLUMNS, "votes"), "the column 'votes' is missing; it has 'id',"),
        (without(NIGHTS_COLUMNS, "id", "prompt"), "the columns 'id', 'prompt' are missing"),
        ((*NIGHTS_COLUMNS, "colour"), "the column 'colour' is not known here"),
        ((*without(NIGHTS_COLUMNS, "id"), "name"), "the column 'id' is missing"),
        ((*NIGHTS_COLUMNS, "split"), "has twice the column 'split'"),
        ((*NIGHTS_COLUMNS, "Split "), "has twice the column 'split'"),
    ):
        folder.csv(unquoted(columns, full), "data.csv")
        with pytest.raises(BadInput, match=re.escape(complaint)) as refused:
            read_nights(folder.path)
        assert "data.csv" in refused.value.message


def test_columns_of_a_csv(plain: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = plain
    full = [row | {"votes_0": "1", "votes_1": "2", "weight": "3", "closer": "a", "farther": "b"} for row in rows]
    for columns, complaint in (
        (("reference", "closer", "farther"), "looks like training's judged triplets"),
        (("reference", "candidate_0"), "the column 'candidate_1' is missing"),
        (("reference", "candidate_0", "candidate_1", "weight"), "the column 'weight' is not known here"),
        (("reference", "candidate_0", "candidate_1", "votes_0"), "votes_0 and votes_1 come together or not at all"),
        (("reference", "reference", "candidate_0", "candidate_1"), "has twice the column 'reference'"),
    ):
        file = folder.csv(unquoted(columns, full))
        with pytest.raises(BadInput, match=re.escape(complaint)) as refused:
            read_csv(file)
        assert str(file) in refused.value.message


BAD_NIGHTS_CELLS = [
    ("id", "", "id must be a whole number"),
    ("id", "-1", "id must be a whole number"),
    ("id", "1.5", "id must be a whole number"),
    ("id", "1,000", "id must be a whole number"),
    ("id", "1.000", "id must be a whole number"),
    ("id", "1_0", "id must be a whole number"),
    ("id", "²", "id must be a whole number"),
    ("id", "2147483648", "id must be a whole number from 0 to 999,999,999"),
    ("id", "1000000000", "id must be a whole number"),
    ("id", "9" * 5000, "id must be a whole number"),
    ("votes", "nan", "votes must be a whole number"),
    ("votes", "-3", "votes must be a whole number"),
    ("votes", "6.5", "votes must be a whole number"),
    ("left_vote", "nan", "left_vote must be between 0 and 1"),
    ("left_vote", "-0.5", "left_vote must be between 0 and 1"),
    ("right_vote", "inf", "right_vote must be between 0 and 1"),
    ("right_vote", "6", "right_vote must be between 0 and 1"),
    ("right_vote", "", "right_vote must be between 0 and 1"),
    ("left_vote", "1", "left_vote and right_vote must add up to 1"),
    ("right_vote", "0", "left_vote and right_vote must add up to 1"),
    ("split", "dev", "split must be train, val, test or empty"),
    ("is_imagenet", "maybe", "is_imagenet must be True or False"),
    ("is_imagenet", "", "is_imagenet must be True or False"),
    ("prompt", "x" * 1001, "prompt is longer than 1000 characters"),
    ("prompt", "nul\0nul", "the line holds null characters"),
    ("ref_path", "", "ref_path names no file"),
    ("ref_path", " ", "ref_path names no file"),
    ("ref_path", "ref\0.png", "the line holds null characters"),
    ("ref_path", "C:\\Users\\ada\\r.png", "is a path of another computer"),
    ("ref_path", "ref/none.png", "ref_path 'ref/none.png' does not exist"),
    ("left_path", "../outside.png", "left_path '../outside.png' leads out"),
    ("left_path", "ref/../../outside.png", "left_path 'ref/../../outside.png' leads out"),
    ("left_path", "/etc/hostname", "left_path '/etc/hostname' leads out"),
    ("right_path", "link-out.png", "right_path 'link-out.png' leads out"),
    ("right_path", "folder-out/outside.png", "right_path 'folder-out/outside.png' leads out"),
    ("right_path", "loop.png", "right_path 'loop.png'"),
    ("right_path", "ref", "right_path 'ref' is no file"),
    ("right_path", "y" * 300 + ".png", "right_path 'y+…' cannot be opened"),
    ("right_path", "ref/000/000.png/more", "right_path 'ref/000/000.png/more'"),
]


@pytest.mark.parametrize(
    ("column", "value", "complaint"), BAD_NIGHTS_CELLS, ids=[f"{c}={v[:12]!r}" for c, v, _ in BAD_NIGHTS_CELLS]
)
def test_a_bad_cell_is_named_by_file_row_and_column(tmp_path: Path, column: str, value: str, complaint: str) -> None:
    folder = TripletFolder(tmp_path / "inside")
    rows = folder.nights_rows(2)
    outside = tmp_path / "outside.png"
    outside.write_bytes(b"somebody else's")
    (folder.path / "link-out.png").symlink_to(outside)
    (folder.path / "folder-out").symlink_to(tmp_path)
    (folder.path / "loop.png").symlink_to("loop.png")
    rows[1][column] = value
    with pytest.raises(BadInput, match=complaint) as refused:
        read_nights(folder.nights(rows))
    assert refused.value.message.startswith("data.csv, line 3: ")
    assert len(refused.value.message) < 2000, "a message is for reading"


def test_votes_that_are_no_whole_number_are_refused(nights: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = nights
    uneven = [*rows[:2], rows[2] | {"left_vote": "0.4", "right_vote": "0.6", "votes": "6"}]
    with pytest.raises(BadInput, match=r"line 4: left_vote 0\.4 of 6 votes is not a whole number"):
        read_nights(folder.nights(uneven))


@pytest.mark.parametrize(
    ("left", "right", "votes", "recorded"),
    [
        ("1", "0", "8", (8, 0)),
        ("0", "1", "7", (0, 7)),
        ("0.0", "1.0", "6", (0, 6)),
        ("0.3333333333333333", "0.6666666666666666", "3", (1, 2)),
        ("0.333333", "0.666667", "3", (1, 2)),
        ("0", "0", "0", (0, 0)),
    ],
)
def test_recorded_votes(
    nights: tuple[TripletFolder, list[Row]], left: str, right: str, votes: str, recorded: tuple[int, int]
) -> None:
    folder, rows = nights
    file = read_nights(folder.nights([rows[0] | {"left_vote": left, "right_vote": right, "votes": votes}]))
    assert file.rows[0].recorded == recorded


def test_an_id_taken_twice_names_both_rows(nights: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = nights
    with pytest.raises(BadInput, match=r"data\.csv, line 4: the id 7 is taken by data\.csv, line 2"):
        read_nights(folder.nights([rows[0] | {"id": "7"}, rows[1], rows[2] | {"id": "007"}]))


@pytest.mark.parametrize(
    ("votes_0", "votes_1"), [("3", ""), ("", "3"), ("-1", "3"), ("nan", "3"), ("1.5", "3"), ("x", "1")]
)
def test_bad_vote_counts_of_a_csv(plain: tuple[TripletFolder, list[Row]], votes_0: str, votes_1: str) -> None:
    folder, rows = plain
    bad = [rows[0] | {"votes_0": "1", "votes_1": "2"}, rows[1] | {"votes_0": votes_0, "votes_1": votes_1}]
    with pytest.raises(BadInput, match=r"triplets\.csv, line 3: votes_[01] must be a whole number"):
        read_csv(folder.csv(bad))


def test_rows_without_votes_among_rows_with_votes(plain: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = plain
    mixed = [rows[0] | {"votes_0": "1", "votes_1": "2"}, rows[1] | {"votes_0": "", "votes_1": ""}]
    assert [row.recorded for row in read_csv(folder.csv(mixed)).rows] == [(1, 2), None]


BAD_FILES: list[tuple[str, Callable[[str], str | bytes], str]] = [
    ("empty", lambda _: "", "is empty"),
    ("only white space", lambda _: "\n\n", "is empty"),
    ("header alone", lambda good: good.splitlines()[0], "holds no rows"),
    (
        "Windows-1252",
        lambda good: good.replace("1-r.png", "é.png").encode("cp1252"),
        r"line 3: this is not UTF-8 text \(byte 0xe9\).*Windows-1252.*CSV UTF-8",
    ),
    ("half of UTF-16", lambda good: good.encode("utf-16")[:-1], "is not UTF-16 text"),
    ("an image", lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a PNG image"),
    ("a workbook", lambda _: b"PK\x03\x04\x14\0\x06\0", "a ZIP file or an Excel workbook"),
    ("an open quote", lambda good: good + '"a,b,c\n', "line 5: this is not CSV: a quotation mark is opened"),
    ("a stray quote", lambda good: good + '"a"x,b,c\n', "line 5: this is not CSV: something stands between"),
    ("a cell of 200 kB", lambda good: good + "a" * 200_000 + ",b,c\n", "line 5: a row is longer than"),
    ("a row of many lines", lambda good: good + '"a\n' + '","\n' * 90_000, "a row is longer than"),
    ("300 columns", lambda good: good.replace("candidate_1", "candidate_1" + ",x" * 300), "has 303 columns"),
    ("too few cells", lambda good: good + "a,b\n", r"line 5: 2 values for 3 columns.*need their separators"),
    ("a mark of DOS at the end", lambda good: good + "\x1a", "line 5: 1 value for 3 columns"),
    ("too many cells", lambda good: good + "a,b,c,d,e\n", r"line 5: 5 values for 3 columns\. .*quotation marks\.$"),
    ("row names of R without a column", lambda good: in_columns(good, before="1,"), "line 2: 4 .*in R, use write.csv"),
    ("another separator", lambda good: good.replace(",", "|"), "'reference|candidate_0.*commas, semicolons or tabs"),
    ("a title above", lambda good: "Shoes,,\n" + good, "it has 'shoes'. The first row must name the columns"),
    (
        "an unnamed column with a value",
        lambda good: good.replace("\n", ",\n").replace("-1.png,", "-1.png,x"),
        "line 2: column 4 has no name, but holds something",
    ),
    ("two separators", lambda good: good.replace(",", ";", 1), "'reference;candidate_0'"),
    ("null characters", lambda good: good.replace("_0,", "_0\0,"), "line 1: the line holds null characters"),
]


@pytest.mark.parametrize(("spoil", "complaint"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_what_is_no_table_of_triplets(
    plain: tuple[TripletFolder, list[Row]], spoil: Callable[[str], str | bytes], complaint: str
) -> None:
    folder, rows = plain
    with pytest.raises(BadInput, match=complaint) as refused:
        read_csv(folder.csv(spoil(table(rows))))
    assert "triplets.csv" in refused.value.message


def test_no_such_file_and_a_folder_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "data.csv").mkdir()
    (tmp_path / "file").write_text("")
    for read, path, complaint in (
        (read_csv, tmp_path / "none.csv", "There is no file .*none.csv"),
        (read_csv, tmp_path, "is a folder"),
        (read_nights, tmp_path, "data.csv is a folder"),
        (read_nights, tmp_path / "none", "There is no file .*data.csv"),
        (read_nights, tmp_path / "file", "There is no file .*data.csv"),
    ):
        with pytest.raises(BadInput, match=complaint):
            read(path)


def in_columns(good: str, before: str = "", after: str = "", header: str = "") -> str:
    """With more at the beginning or end of each row, the header apart."""
    first, *others = good.splitlines()
    return "\n".join([header + first + after, *(f"{before}{row}{after}" for row in others)]) + "\n"


DRESSES: dict[str, Callable[[str], str | bytes]] = {
    "byte order mark": lambda good: b"\xef\xbb\xbf" + good.encode(),
    "two byte order marks": lambda good: "\ufeff\ufeff" + good,
    "CRLF": lambda good: good.replace("\n", "\r\n"),
    "CR": lambda good: good.replace("\n", "\r"),
    "blank lines": lambda good: "\n" + good.replace("\n", "\n\n"),
    "no last line end": lambda good: good.rstrip("\n"),
    "all quoted": lambda good: re.sub("[^,\n]+", r'"\g<0>"', good),
    "semicolons": lambda good: good.replace(",", ";"),
    "tabs": lambda good: good.replace(",", "\t"),
    "sep= as Excel knows it": lambda good: "sep=;\n" + good.replace(",", ";"),
    "UTF-16 with a mark": lambda good: good.replace(",", "\t").encode("utf-16"),
    "big-endian UTF-16": lambda good: ("\ufeff" + good).encode("utf-16-be"),
    "UTF-16 without a mark": lambda good: good.encode("utf-16-le"),
    "UTF-32": lambda good: good.encode("utf-32"),
    "spaces after commas": lambda good: good.replace(",", ", "),
    "spaces before commas": lambda good: good.replace(",", " ,").replace("\n", " \n"),
    "spaces before quotes": lambda good: re.sub("[^,\n]+", r' "\g<0>"', good),
    "capitals in the header": lambda good: good.replace("reference", "Reference").replace("candidate", "CANDIDATE"),
    "a space for _": lambda good: good.replace("candidate_", "Candidate "),
    "an index of pandas": lambda good: in_columns(good, before="0,", header=","),
    "an index that was read and saved": lambda good: in_columns(good, before="0,5,", header="Unnamed: 0.1,Unnamed: 0,"),
    "row names of R": lambda good: in_columns(good, before='"x",', header='"",'),
    "empty last columns": lambda good: in_columns(good, after=",,"),
    "empty last cells": lambda good: good.splitlines()[0] + "\n" + in_columns(good, after=",,").split("\n", 1)[1],
    "an empty last column of the header alone": lambda good: good.replace("candidate_1\n", "candidate_1,\n"),
    "empty last rows": lambda good: good + ",,\n  , ,\n\n",
    "backslashes": lambda good: good.replace("/", "\\"),
    "./ before paths": lambda good: re.sub(r"(\d+/)", r"./\1", good),
    "capitals in paths": lambda good: good.replace(".png", ".PNG"),
}


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
def test_every_common_way_to_save_a_table(
    plain: tuple[TripletFolder, list[Row]], dress: Callable[[str], str | bytes]
) -> None:
    folder, rows = plain
    found = read_csv(folder.csv(dress(table(rows)))).rows
    assert [row.reference.name for row in found] == [Path(row["reference"]).name for row in rows]
    assert [row.candidate_1.name for row in found if row.candidate_1] == [Path(r["candidate_1"]).name for r in rows]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"votes": "6.0", "left_vote": "0.0", "right_vote": "1.0"}, {"recorded": (0, 6)}),
        ({"votes": "4,0", "left_vote": "0,25", "right_vote": "0,75"}, {"recorded": (1, 3)}),
        ({"votes": "1e+05", "id": "1e+05"}, {"recorded": (0, 100_000), "number": 100_000}),
        ({"votes": "0", "left_vote": "", "right_vote": "NaN"}, {"recorded": (0, 0)}),
        ({"is_imagenet": "TRUE"}, {"is_imagenet": True}),
        ({"is_imagenet": "true"}, {"is_imagenet": True}),
        ({"is_imagenet": "1"}, {"is_imagenet": True}),
        ({"is_imagenet": "WAHR"}, {"is_imagenet": True}),
        ({"is_imagenet": "FALSCH"}, {"is_imagenet": False}),
        ({"is_imagenet": "0.0"}, {"is_imagenet": False}),
        ({"split": "Train"}, {"split": "train"}),
        *(({"split": nothing}, {"split": None}) for nothing in ("NA", "<NA>", "n/a", "#N/A", "NULL", "None")),
        ({"prompt": "NA"}, {"prompt": "NA"}),
        ({"prompt": "'=SUM(A1)"}, {"prompt": "=SUM(A1)"}),
        ({"prompt": "'apostrophe"}, {"prompt": "'apostrophe"}),
        ({"prompt": "  spaced  "}, {"prompt": "spaced"}),
    ],
    ids=repr,
)
def test_cells_as_spreadsheets_write_them(
    nights: tuple[TripletFolder, list[Row]], cells: dict[str, str], expected: dict[str, object]
) -> None:
    folder, rows = nights
    row = read_nights(folder.nights([rows[0] | cells])).rows[0]
    assert {name: getattr(row, name) for name in expected} == expected


def test_names_whose_accents_are_composed_otherwise(tmp_path: Path) -> None:
    folder = TripletFolder(tmp_path)
    on_disk, written = (unicodedata.normalize(form, "Stühle/é.png") for form in ("NFD", "NFC"))
    folder.picture(on_disk)
    row = read_csv(folder.csv(f"reference,candidate_0,candidate_1\n{written},{on_disk},{written}\n")).rows[0]
    assert row.images == ((tmp_path / on_disk).resolve(),) * 3


def test_a_name_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    folder = TripletFolder(tmp_path)
    for name in ("A.png", "a.PNG", "b.png"):
        folder.picture(name)
    assert read_csv(folder.csv("reference,candidate_0,candidate_1\nA.png,a.PNG,B.PNG\n")).rows[0].images == tuple(
        (tmp_path / name).resolve() for name in ("A.png", "a.PNG", "b.png")
    )
    with pytest.raises(BadInput, match=r"line 2: candidate_0 'a\.png' may be 'A\.png' or 'a\.PNG'"):
        read_csv(folder.csv("reference,candidate_0,candidate_1\nA.png,a.png,b.png\n"))


def test_capitals_do_not_lead_out(tmp_path: Path) -> None:
    folder = TripletFolder(tmp_path / "inside")
    folder.picture("a.png")
    (tmp_path / "Secret.png").write_bytes(b"")
    (folder.path / "Out").symlink_to(tmp_path)
    for name, complaint in (("out/secret.png", "leads out"), (r"out\secret.png", "leads out"), (r"..\x", "does not")):
        with pytest.raises(BadInput, match=complaint):
            read_csv(folder.csv(f"reference,candidate_0,candidate_1\n{name},a.png,a.png\n"))


@pytest.mark.parametrize("again", [(0, 1, 2), (0, 2, 1)], ids=["equal", "turned"])
def test_a_repeated_row_ends_the_reading(plain: tuple[TripletFolder, list[Row]], again: tuple[int, ...]) -> None:
    """So a table of very many equal rows, which a ZIP file holds in no space, costs nothing."""
    folder, rows = plain
    cells = list(rows[0].values())
    repeated = ",".join(cells[place] for place in again)
    with pytest.raises(BadInput, match=r"line 5: the same reference .* is in triplets\.csv, line 2 already"):
        read_csv(folder.csv(table(rows) + f"{repeated}\nnot,a,triplet\n"))


def test_tables_have_bounds(plain: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = plain
    path = folder.csv(rows)
    with pytest.raises(BadFile, match="more than 2 rows"), open_table(path, Limits(rows=2)) as read:
        list(read.rows)
    with pytest.raises(BadFile, match="larger than 0 MB"), open_table(path, Limits(bytes=10)):
        pass


def test_data_csv_in_capitals(tmp_path: Path) -> None:
    folder = TripletFolder(tmp_path)
    folder.nights(folder.nights_rows(1))
    (tmp_path / "data.csv").rename(tmp_path / "DATA.CSV")
    assert len(read_nights(tmp_path).rows) == len(read_table(tmp_path / "DATA.CSV").rows) == 1


def test_columns_may_stand_in_any_order(nights: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = nights
    in_order = read_nights(folder.nights(rows)).rows
    folder.csv(table(rows, reversed(NIGHTS_COLUMNS)), "data.csv")
    assert read_nights(folder.path).rows == in_order


def test_candidate_0_is_left_paths_image_whatever_it_is_called(nights: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = nights
    first = read_nights(folder.nights(rows)).rows[0]
    assert (first.candidate_0.name, first.candidate_1.name) == ("000_1.png", "000_0.png")
    assert first.recorded == (0, 6)


def test_a_line_is_named_where_its_row_ends_also_after_quoted_line_ends(plain: tuple[TripletFolder, list[Row]]) -> None:
    folder, rows = plain
    prompts = ["one\ntwo", "plain", "three"]
    bad = [row | {"prompt": prompt, "split": ""} for row, prompt in zip(rows, prompts, strict=True)]
    bad[2]["split"] = "dev"
    with pytest.raises(BadInput, match=r"triplets\.csv, line 5: split"):
        read_csv(folder.csv(bad))


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
PROMPTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


SPLITS = st.sampled_from(["", "train", "val", "test"])
VOTES = st.integers(0, 999)


@given(st.lists(st.tuples(PROMPTS, PROMPTS, SPLITS, VOTES, VOTES), min_size=1, max_size=5))
def test_whatever_a_csv_writer_writes_is_read_back(
    plain: tuple[TripletFolder, list[Row]], written: list[tuple[str, str, str, int, int]]
) -> None:
    folder, rows = plain
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["prompt", "source", "split", "votes_0", "votes_1", "reference", "candidate_0", "candidate_1"])
    pictures = [name for row in rows for name in row.values()]
    for place, cells in enumerate(written):
        writer.writerow([*cells, *pictures[place : place + 3]])
    found = read_csv(folder.csv(out.getvalue())).rows

    def kept(value: str) -> str | None:
        return re.sub("\r\n?", "\n", unguard(value.strip())) or None

    expected = [
        (kept(prompt), kept(source), split or None, (votes_0, votes_1))
        for prompt, source, split, votes_0, votes_1 in written
    ]
    assert [(row.prompt, row.source, row.split, row.recorded) for row in found] == expected


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_cell_without_quotes_may_hold_what_unicode_calls_a_line_end(
    plain: tuple[TripletFolder, list[Row]], odd: str
) -> None:
    folder, rows = plain
    prompts = [f"one{odd}two", "plain"]
    written = [row | {"prompt": prompt} for row, prompt in zip(rows, prompts, strict=False)]
    found = read_csv(folder.csv(unquoted(written[0], written)))
    assert [(row.prompt, row.where) for row in found.rows] == [
        (prompts[0], "triplets.csv, line 2"), ("plain", "triplets.csv, line 3")
    ]  # fmt: skip


@given(NAMES)
def test_a_picture_may_be_called_anything(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = TripletFolder(tmp_path_factory.mktemp("names"))
    (folder.path / "odd").mkdir()
    try:
        (folder.path / "odd" / name).write_bytes(b"")
    except OSError:
        reject()  # not a name to this file system
    cell = '"' + f"odd/{name}".replace('"', '""') + '"'
    found = read_csv(folder.csv(f"reference,candidate_0,candidate_1\n{cell},{cell},{cell}\n"))
    assert found.rows[0].reference == (folder.path / "odd" / name).resolve()
