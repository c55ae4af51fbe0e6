import dataclasses
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.generators.procedural.backgrounds import BACKGROUNDS
from app.generators.procedural.catalogue import CATEGORIES, VARIANTS
from app.generators.procedural.draw import draw
from app.generators.procedural.scene import Scene
from tests.support.worker.scenes import CHANGES, PLAIN

SIZE = 128
ALONE = dataclasses.replace(PLAIN, count=1, size=1.0)


def pixels(scene: Scene) -> NDArray[np.int16]:
    return np.asarray(draw(scene, SIZE), dtype=np.int16)


def changed_share(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    """The share of pixels that differ by more than one would overlook."""
    return float((np.abs(first - second).max(axis=2) > 16).mean())


@pytest.mark.parametrize("size", [1, 7, 512])
def test_a_picture_has_the_size_asked_for(size: int) -> None:
    picture = draw(PLAIN, size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))


def test_a_picture_is_512_pixels_wide_unless_told() -> None:
    assert draw(PLAIN).size == (512, 512)


@pytest.mark.parametrize("size", [0, -512, 5000, 12.5, True])
def test_a_size_that_cannot_be_drawn_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size must be a whole number of pixels from 1 to 4096, not"):
        draw(PLAIN, size)


def test_two_processes_draw_the_same_bytes() -> None:
    program = (
        "import hashlib\n"
        "from app.generators.procedural.draw import draw\n"
        "from app.generators.procedural.sampling import triplet\n"
        "scenes = [triplet(category, 7).candidate_1 for category in ('snail', 'lamp', 'umbrella')]\n"
        "print(*(hashlib.sha256(draw(scene, 200).tobytes()).hexdigest() for scene in scenes))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(outputs[0].split()) == 3
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("name", CHANGES)
def test_every_parameter_shows(name: str) -> None:
    other = dataclasses.replace(PLAIN, **{name: CHANGES[name]})
    assert changed_share(pixels(PLAIN), pixels(other)) > 0.002


def test_edges_are_smooth() -> None:
    # Across the edge of a balloon on a plain wall, its dark and the pale tone have to meet in between.
    scene = dataclasses.replace(ALONE, category="balloon", lightness=0.0, background="plain")
    levels = np.asarray(draw(scene).convert("L"), dtype=np.int16)
    dark, pale = levels.min(), np.median(levels)
    between = (levels > dark + 0.35 * (pale - dark)) & (levels < dark + 0.65 * (pale - dark))
    outline = 4 * 0.31 * 512
    assert between.sum() > outline / 4


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_stands_out_from_its_background(category: str) -> None:
    # What differs once the object has moved away is the object, and it must differ clearly.
    for variant, background in itertools.product(range(VARIANTS), ("plain", "night")):
        near = dataclasses.replace(ALONE, category=category, variant=variant, background=background, x=1.0)
        away = dataclasses.replace(near, x=0.0, depth=0.0, size=0.0)
        assert changed_share(pixels(near), pixels(away)) > 0.06


@pytest.mark.parametrize("variant", range(VARIANTS))
def test_categories_differ_from_each_other(variant: int) -> None:
    pictures = [pixels(dataclasses.replace(ALONE, category=category, variant=variant)) for category in CATEGORIES]
    for first, second in itertools.combinations(pictures, 2):
        assert changed_share(first, second) > 0.05


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_variants_of_a_category_differ(category: str) -> None:
    pictures = [pixels(dataclasses.replace(ALONE, category=category, variant=variant)) for variant in range(VARIANTS)]
    for first, second in itertools.combinations(pictures, 2):
        assert changed_share(first, second) > 0.015


def test_backgrounds_differ_from_each_other() -> None:
    scenes = [dataclasses.replace(PLAIN, background=name) for name in BACKGROUNDS]
    digests = {hashlib.sha256(draw(scene, SIZE).tobytes()).digest() for scene in scenes}
    assert len(digests) == len(BACKGROUNDS) >= 6
