"""What a trial shows, in which order, and what it asks about."""

from dataclasses import dataclass

REFERENCE = "reference"
CANDIDATES = ("candidate_0", "candidate_1")
"""The images of an item."""


@dataclass(frozen=True)
class Flashes:
    """The images of a JND trial in the order of their appearance, and the pairs of them that are asked about.

    pairs: places among `images`, from 0. candidates: whose pair each is, in the order of the questions.
    """

    images: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    candidates: tuple[int, ...]


def side_by_side(left_candidate: int) -> tuple[str, str, str]:
    """The images of a 2AFC trial: reference, left, right."""
    return REFERENCE, CANDIDATES[left_candidate], CANDIDATES[1 - left_candidate]


def flashes(*, pairs: int, first_candidate: int, interleave: bool) -> Flashes:
    """The flashes of a JND trial: reference and candidate of one pair, or of two.

    Args:
        pairs: how many pairs the item has, 1 or 2.
        first_candidate: whose pair comes first, of two.
        interleave: both references before both candidates.
    """
    if pairs == 1:
        return Flashes((REFERENCE, CANDIDATES[0]), ((0, 1),), (0,))
    first, second = CANDIDATES[first_candidate], CANDIDATES[1 - first_candidate]
    candidates = (first_candidate, 1 - first_candidate)
    if interleave:
        return Flashes((REFERENCE, REFERENCE, first, second), ((0, 2), (1, 3)), candidates)
    return Flashes((REFERENCE, first, REFERENCE, second), ((0, 1), (2, 3)), candidates)


def question_about(template: str, pair: tuple[int, int], *, language: str) -> str:
    """The question about a pair: `{a}` and `{b}` in the protocol's question stand for its places in the sequence."""
    a, b = (_ordinal(place + 1, language) for place in pair)
    return template.replace("{a}", a).replace("{b}", b)


def _ordinal(place: int, language: str) -> str:
    """1st to 4th in English; elsewhere the number with a point, which most languages write."""
    if language.split("-")[0].lower() != "en":
        return f"{place}."
    return f"{place}{('st', 'nd', 'rd', 'th')[min(place, 4) - 1]}"
