"""Cells that would run as formulas: marked when written, and exactly themselves when read."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datafiles.formulas import guard, unguard
from datafiles.writing import write_table


@pytest.mark.parametrize(
    "text",
    ["=1", "+1", "-1", "@x", "\t=1", "\tx", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", "﹦1", "\ufeff=1", "\u200b=1",
     " =1", "\u00a0@x", "\x0b=1"],
    ids=ascii,
)  # fmt: skip
def test_what_a_spreadsheet_may_run_gets_an_apostrophe(text: str) -> None:
    assert guard(text) == f"'{text}"
    assert guard(f"'{text}") == f"''{text}", "what begins with an apostrophe itself is told apart"


@pytest.mark.parametrize("text", ["", "a", "a=1", "'", "'a", "1-1", "é", "−1", "(=1)", "''quoted''"])
def test_all_else_stays(text: str) -> None:
    assert guard(text) == unguard(text) == text


@given(st.text())
@example("'=x")
@example("''=x")
@example("'\ufeff=x")
def test_what_is_written_is_read(text: str) -> None:
    assert unguard(guard(text)) == text


def test_every_text_of_a_table_is_guarded_and_no_number_is() -> None:
    file = io.StringIO()
    write_table(file, ["name", "value"], [["=1", -1.5], ["@x", None], ["plain", True]])
    assert list(csv.reader(file.getvalue().splitlines())) == [
        ["name", "value"], ["'=1", "-1.5"], ["'@x", ""], ["plain", "True"],
    ]  # fmt: skip
