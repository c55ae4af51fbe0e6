"""What a trial shows and asks about."""

import pytest

from app.domain.presentation import flashes, question_about, side_by_side


@pytest.mark.parametrize("pairs", [1, 2])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("interleave", [True, False])
def test_every_pair_is_a_reference_and_then_its_candidate(pairs: int, first: int, interleave: bool) -> None:
    shown = flashes(pairs=pairs, first_candidate=first, interleave=interleave)
    assert len(shown.images) == 2 * pairs
    assert sorted(place for pair in shown.pairs for place in pair) == list(range(2 * pairs))
    for (a, b), candidate in zip(shown.pairs, shown.candidates, strict=True):
        assert a < b
        assert (shown.images[a], shown.images[b]) == ("reference", f"candidate_{candidate}")
    assert sorted(shown.candidates) == list(range(pairs))
    assert pairs == 1 or shown.candidates[0] == first


def test_interleaved_means_both_references_first() -> None:
    assert flashes(pairs=2, first_candidate=1, interleave=True).images == (
        "reference", "reference", "candidate_1", "candidate_0",
    )  # fmt: skip
    assert flashes(pairs=2, first_candidate=1, interleave=True).pairs == ((0, 2), (1, 3))


def test_sides() -> None:
    assert side_by_side(0) == ("reference", "candidate_0", "candidate_1")
    assert side_by_side(1) == ("reference", "candidate_1", "candidate_0")


def test_questions_count_the_images() -> None:
    template = "Were the {a} and the {b} image the same?"
    assert question_about(template, (0, 2), language="en-GB") == "Were the 1st and the 3rd image the same?"
    assert question_about(template, (1, 3), language="en") == "Were the 2nd and the 4th image the same?"
    assert question_about("Das {a} und das {b} Bild?", (1, 3), language="de") == "Das 2. und das 4. Bild?"
    assert question_about("The same? {x}", (0, 1), language="en") == "The same? {x}"
