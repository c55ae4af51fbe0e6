"""Categories to make images of: class lists that come with the project, lists in files, and the prompt of each."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from app.errors import BadInput
from datafiles.encoding import decode_text
from datafiles.errors import BadFile

PROMPT = "An image of a {category}"
"""The paper's."""

_LISTS = resources.files("app.domain") / "class_lists"
_LONGEST_NAME = 100
_LONGEST_PROMPT = 1000
_PLACE = "{category}"
# By letters, as far as letters tell: a unicycle and a European lizard begin with the sound of "you".
_VOWEL_SOUND = re.compile(r"(?!eu|uni(?!n)|uk|us[aeu]|ut[eio]|one\b)[aeiou]|hour|honest|heir", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(a)(?= \{category\})", re.IGNORECASE)


@dataclass(frozen=True)
class Merged:
    """A name that is left out, as it says the same as one that stays; both with the list they are from."""

    name: str
    source: str
    kept: str
    kept_source: str


def list_names() -> list[str]:
    return sorted(entry.name.removesuffix(".txt") for entry in _LISTS.iterdir() if entry.name.endswith(".txt"))


def class_list(name: str) -> list[str]:
    """One of the lists that come with the project, in its source's order."""
    return parse((_LISTS / f"{name}.txt").read_bytes(), source=name)


def parse(data: bytes, *, source: str) -> list[str]:
    """The names in a text file, one a line, in quotation marks or not. Of synonyms ("tench, Tinca tinca") the first is
    the name. Empty lines at the end do not count.

    Raises:
        BadInput: it is neither UTF-8 nor UTF-16, or lines are empty, repeated, or too long; names the lines.
    """
    try:
        text = decode_text(data)
    except BadFile as error:
        where = source if error.line is None else f"{source}, line {error.line}"
        raise BadInput(f"{where}: {error.message}") from None
    names: dict[str, int] = {}
    lines: list[str] = re.split(r"\r\n|\n|\r", text.rstrip())
    for number, line in enumerate(lines, start=1):
        name = _checked(line, f"{source}, line {number}")
        if name in names:
            raise BadInput(f"{source}, line {number}: {name!r} is in line {names[name]} already.")
        names[name] = number
    return list(names)


def _checked(line: str, where: str) -> str:
    unquoted = re.sub(r'^"([^"]*)"$', r"\1", line.strip())
    name = " ".join(re.split(r"[,;|]", unquoted, maxsplit=1)[0].split())
    if not name:
        raise BadInput(f"{where}: the line is empty; there must be one category a line.")
    if len(name) > _LONGEST_NAME:
        raise BadInput(f"{where}: a category has at most {_LONGEST_NAME} characters (got {len(name)}).")
    if not name.isprintable():
        raise BadInput(f"{where}: {name!r} holds characters that cannot be printed.")
    return name


def merge(lists: Iterable[tuple[str, Sequence[str]]]) -> tuple[list[str], list[Merged]]:
    """The names of several (source, names) in order, each thing once, and what was left out for that.

    Case, spaces, hyphens, underscores, accents and the plural make no other thing; the first name found stays.
    """
    kept: dict[str, tuple[str, str]] = {}
    merged = []
    for source, names in lists:
        for name in names:
            first, first_source = kept.setdefault(_sameness(name), (name, source))
            if (first, first_source) != (name, source):
                merged.append(Merged(name, source, first, first_source))
    return [name for name, _ in kept.values()], merged


@cache
def _sameness(name: str) -> str:
    letters = "".join(
        letter for letter in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(letter)
    )
    return "".join(_singular(word) for word in re.split(r"[\W_]+", letters.replace("'", "")))


def _singular(word: str) -> str:
    if len(word) < 4 or re.search(r"(ss|us|is)$", word):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if re.search(r"(ss|x|z|ch|sh)es$", word) else word.removesuffix("s")


def is_imagenet(name: str) -> bool:
    """Whether ImageNet has such a class."""
    return _sameness(name) in _imagenet()


@cache
def _imagenet() -> frozenset[str]:
    return frozenset(map(_sameness, class_list("imagenet")))


def check_prompt(template: str) -> str:
    """Raises BadInput unless the template says once where the category goes, and can be read."""
    if template.count(_PLACE) != 1 or template.replace(_PLACE, "").count("{") + template.count("}") != 1:
        raise BadInput(f"A prompt holds {_PLACE} once and no other braces, such as {PROMPT!r} (got {template!r}).")
    if len(template) > _LONGEST_PROMPT or not template.isprintable():
        raise BadInput(f"A prompt is one line of at most {_LONGEST_PROMPT} characters.")
    return template


def prompt(template: str, category: str, *, articles: bool = False) -> str:
    """What the model is asked for. With `articles`, "a" before the category becomes "an" where English wants it."""
    if articles and _VOWEL_SOUND.match(category):
        template = _ARTICLE.sub(r"\1n", template)
    return template.replace(_PLACE, category)
