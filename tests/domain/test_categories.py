"""Category lists: those that come along, those in files, what is merged, and the prompts."""

from pathlib import Path

import pytest

from app.domain.categories import PROMPT, check_prompt, class_list, is_imagenet, list_names, merge, parse, prompt
from app.errors import BadInput

SIZES = {"imagenet": 1000, "cifar10": 10, "cifar100": 100, "flowers102": 102, "food101": 101, "sun397": 397}


def test_the_lists_that_come_along(shared: Path) -> None:
    assert {name: len(class_list(name)) for name in list_names()} == SIZES
    for name in SIZES:
        assert class_list(name) == (shared / f"data/categories/{name}.txt").read_text().splitlines()


def test_all_lists_together_name_each_thing_once() -> None:
    kept, merged = merge([(name, class_list(name)) for name in SIZES])
    assert (len(kept), len(merged)) == (1655, 55)
    (other,) = [one for one in merged if one.name != one.kept]
    assert (other.name, other.source, other.kept, other.kept_source) == (
        "butchers shop", "sun397", "butcher shop", "imagenet",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [("Apple", "apple"), ("apple", "apples"), ("lawn mower", "lawn_mower"), ("t-shirt", "tshirt"),
     ("butterfly", "butterflies"),
     ("crème brûlée", "creme brulee"), ("colt's foot", "colts foot"), ("class", "classes"), ("bench", "benches")],
)  # fmt: skip
def test_the_same_thing_in_other_words(first: str, second: str) -> None:
    kept, merged = merge([("a", [first]), ("b", [second])])
    assert kept == [first]
    assert [(one.name, one.source, one.kept, one.kept_source) for one in merged] == [(second, "b", first, "a")]


@pytest.mark.parametrize(
    ("first", "second"), [("bus", "bu"), ("glass", "glas"), ("hen", "hens' house"), ("cat", "cart"), ("gas", "ga")]
)
def test_other_things_stay_apart(first: str, second: str) -> None:
    assert merge([("a", [first]), ("b", [second])]) == ([first, second], [])


def test_a_file() -> None:
    assert parse("\ufefftench, Tinca tinca\r\n great  white shark \n日本犬".encode(), source="mine.txt") == [
        "tench", "great white shark", "日本犬",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        "cat\ntench\n",
        "\ufeffcat\r\ntench\r\n\r\n \n",
        "cat\rtench",
        'cat\n"tench, Tinca tinca"\n',
        "cat\ntench\n".encode("utf-16"),
        "cat\r\ntench\r\n".encode("utf-16-le"),
    ],
    ids=ascii,
)
def test_a_list_as_editors_and_spreadsheets_save_it(data: str | bytes) -> None:
    assert parse(data if isinstance(data, bytes) else data.encode(), source="mine.txt") == ["cat", "tench"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "mine.txt, line 1: the line is empty"),
        (b"cat\n\ndog\n", "mine.txt, line 2: the line is empty"),
        (b"cat\n , dog\n", "mine.txt, line 2: the line is empty"),
        (b"cat\ndog\ncat\n", "mine.txt, line 3: 'cat' is in line 1 already."),
        (b"cat\ndog\xff\n", "mine.txt, line 2: this is not UTF-8 text (byte 0xff)."),
        (b"cat\n" + b"x" * 101, "mine.txt, line 2: a category has at most 100 characters (got 101)."),
        (b"cat\ndo\x00g\n", "mine.txt, line 2: 'do\\x00g' holds characters that cannot be printed."),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong(data: bytes, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(data, source="mine.txt")
    assert refused.value.message.startswith(complaint)


@pytest.mark.parametrize(
    ("category", "said"),
    [("dog", "a dog"), ("apple", "an apple"), ("umbrella", "an umbrella"), ("unicycle", "a unicycle"),
     ("hourglass", "an hourglass"), ("house", "a house"), ("european polecat", "a european polecat"),
     ("one-piece bathing suit", "a one-piece bathing suit")],
)  # fmt: skip
def test_articles_on_request(category: str, said: str) -> None:
    assert prompt(PROMPT, category) == f"An image of a {category}", "the paper's, whatever the vowel"
    assert prompt(PROMPT, category, articles=True) == f"An image of {said}"
    assert prompt("{category}, on white", category, articles=True) == f"{category}, on white"


@pytest.mark.parametrize(
    "template", ["An image", "{category} {category}", "{other} {category}", "{category", "{category}\n"]
)
def test_a_prompt_that_cannot_be_used(template: str) -> None:
    with pytest.raises(BadInput):
        check_prompt(template)


def test_imagenet() -> None:
    assert (is_imagenet("tench"), is_imagenet("Goldfish"), is_imagenet("abbey")) == (True, True, False)
