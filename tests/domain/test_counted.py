"""Numbers with what they are numbers of, and that pages and commands say them so."""

import re

import pytest

from app.domain.counted import counted
from app.paths import TEMPLATES

NOUNS = "items|sittings|votes|people|trials|notices|images|rounds|judgments|survivors|triplets|pairs|submissions"
"""That go with numbers on pages: with a number in front of it each is for `counted`."""


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 votes"), (1, "1 vote"), (1.2, "1 vote"), (1.7, "2 votes"), (1200, "1,200 votes")]
)
def test_one_is_one_and_more_are_several(number: float, said: str) -> None:
    assert counted(number, "vote") == said


def test_some_plurals_are_their_own() -> None:
    assert [counted(number, "person is", "people are") for number in (1, 2)] == ["1 person is", "2 people are"]


def test_no_page_says_one_items() -> None:
    uncounted = re.compile(rf"}}}} ({NOUNS})\b")
    pages = [path for path in TEMPLATES.rglob("*.html") if path.parent.name != "participant"]
    assert len(pages) > 30
    found = [(path.name, match.group()) for path in pages for match in uncounted.finditer(path.read_text())]
    assert found == []
