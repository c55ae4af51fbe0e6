import dataclasses
import json
import math
import re

import pytest

from app.generators.procedural.catalogue import CATEGORIES
from app.generators.procedural.scene import Scene, prompt
from tests.support.worker.scenes import CHANGES, PLAIN


def test_a_scene_survives_json() -> None:
    assert Scene(**json.loads(json.dumps(PLAIN.as_dict()))) == PLAIN


def test_the_changes_cover_every_parameter() -> None:
    assert set(CHANGES) == {field.name for field in dataclasses.fields(Scene)}


def test_there_are_enough_categories() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES) >= 16


@pytest.mark.parametrize(
    ("category", "text"),
    [("tree", "An image of a tree"), ("apple", "An image of an apple"), ("umbrella", "An image of an umbrella")],
)
def test_a_prompt_has_the_right_article(category: str, text: str) -> None:
    assert prompt(category) == text


def test_a_prompt_needs_a_known_category() -> None:
    with pytest.raises(ValueError, match="category 'dragon' is unknown; choose one of: apple, balloon"):
        prompt("dragon")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("category", "dragon", "category 'dragon' is unknown"),
        ("arrangement", "heap", "arrangement 'heap' is unknown; choose one of: row, arc"),
        ("background", "moon", "background 'moon' is unknown"),
        ("variant", 3, "variant must be a number from 0 to 2, not 3."),
        ("count", 0, "count must be a number from 1 to 5, not 0."),
        ("count", 2.5, "count must be a whole number, not 2.5."),
        ("count", True, "count must be a number from 1 to 5, not True."),
        ("mirrored", 1, "mirrored must be true or false, not 1."),
        ("hue", -1.0, "hue must be a number from 0 to 360, not -1.0."),
        ("background_hue", 361, "background_hue must be a number from 0 to 360, not 361."),
        ("turn", 1.01, "turn must be a number from -1 to 1, not 1.01."),
        ("size", math.nan, "size must be a number from 0 to 1, not nan."),
        ("lightness", "dark", "lightness must be a number from 0 to 1, not 'dark'."),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        dataclasses.replace(PLAIN, **{name: value})
