import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.generators.procedural.distance import distance
from app.generators.procedural.scene import Scene
from tests.support.worker.scenes import CHANGES, PLAIN, SCENES

ROUNDING = 1e-9


@settings(max_examples=150, deadline=None)
@given(SCENES, SCENES, SCENES)
def test_it_is_a_metric(a: Scene, b: Scene, c: Scene) -> None:
    assert distance(a, a) == 0
    assert distance(a, b) >= 0
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c) + ROUNDING


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_counts(name: str) -> None:
    assert distance(PLAIN, dataclasses.replace(PLAIN, **{name: CHANGES[name]})) > 0.1


@settings(max_examples=100, deadline=None)
@given(SCENES, st.sampled_from(["turn", "build", "hue", "lightness", "x", "depth", "size", "scenery"]))
def test_a_small_change_is_a_small_distance(scene: Scene, name: str) -> None:
    value = getattr(scene, name)
    step = 0.01 if value < 0.5 else -0.01
    assert distance(scene, dataclasses.replace(scene, **{name: value + step})) < 0.1


def test_hues_lie_on_a_circle() -> None:
    red, beyond, opposite = (dataclasses.replace(PLAIN, hue=hue) for hue in (2.0, 358.0, 182.0))
    assert distance(red, beyond) < 0.2
    assert distance(red, opposite) == pytest.approx(4.0)
    assert distance(dataclasses.replace(PLAIN, hue=0.0), dataclasses.replace(PLAIN, hue=360.0)) == 0


def test_what_a_single_object_does_not_show_does_not_count() -> None:
    alone = dataclasses.replace(PLAIN, count=1)
    assert distance(alone, dataclasses.replace(alone, arrangement="cluster", spread=0.0)) == 0


def test_another_category_is_farther_than_any_noise() -> None:
    assert distance(PLAIN, dataclasses.replace(PLAIN, category="tree")) >= 8
