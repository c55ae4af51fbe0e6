"""Seeds and turns."""

from itertools import product

from app.domain.generation import ROLES, SEEDS_PER_IMAGE, category_of, image_seed


def test_no_two_images_of_a_study_share_a_seed() -> None:
    every = [
        image_seed(7, number, role, attempt)
        for number, role, attempt in product(range(2000), ROLES, range(SEEDS_PER_IMAGE))
    ]
    assert len(set(every)) == len(every)
    assert all(0 <= seed < 2**32 for seed in every)


def test_seeds_do_not_change_from_one_version_to_the_next() -> None:
    assert [image_seed(7, 1000, role, 2) for role in ROLES] == [2676161974, 2676161982, 2676161990]
    assert image_seed(8, 1000, "reference", 2) != image_seed(7, 1000, "reference", 2)


def test_categories_take_turns_from_a_plans_first_number() -> None:
    assert [category_of(["a", "b", "c"], 10, number) for number in range(10, 17)] == list("abcabca")
