from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import DataError
from training.triplets import Triplets, hold_out, training_and_validation


def some_triplets(images: int, count: int, seed: int) -> Triplets:
    generator = np.random.default_rng(seed)
    indices = np.stack([generator.permutation(images)[:3] for _ in range(count)])
    return Triplets(
        name="drawn",
        images=tuple(Path(f"{i}.png") for i in range(images)),
        indices=indices.astype(np.int64),
        targets=generator.random(count).astype(np.float32),
        votes=np.ones(count, dtype=np.int64),
        ids=np.arange(count).astype(np.str_),
        splits=np.full(count, ""),
    )


def image_names(triplets: Triplets) -> set[str]:
    return {path.name for path in triplets.images}


@given(st.integers(8, 40), st.integers(50, 300), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_held_out_images_are_never_trained_on(images: int, count: int, seed: int) -> None:
    triplets = some_triplets(images, count, seed)
    try:
        train, val = hold_out(triplets, "images", 0.4, seed)
    except DataError:
        return  # too few triplets fall wholly inside the held-out images
    assert not image_names(train) & image_names(val)
    assert not set(train.ids) & set(val.ids)


@given(st.integers(8, 40), st.integers(50, 300), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_references_divide_all_triplets(images: int, count: int, seed: int) -> None:
    triplets = some_triplets(images, count, seed)
    train, val = hold_out(triplets, "references", 0.3, seed)
    references = [{part.images[i].name for i in part.indices[:, 0]} for part in (train, val)]
    assert not references[0] & references[1]
    assert len(train) + len(val) == count


@given(st.integers(4, 20), st.integers(1, 60), st.integers(0, 99), st.data())
@settings(max_examples=40, deadline=None)
def test_rows_keep_their_images(images: int, count: int, seed: int, data: st.DataObject) -> None:
    triplets = some_triplets(images, count, seed)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    part = triplets.rows(keep)
    before = [[triplets.images[i] for i in row] for row in triplets.indices[keep]]
    assert [[part.images[i] for i in row] for row in part.indices] == before
    assert image_names(part) == {path.name for row in before for path in row}


def test_same_seed_same_holdout() -> None:
    triplets = some_triplets(20, 200, 0)
    first, again, other = (hold_out(triplets, "triplets", 0.25, seed)[1].ids.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_holdout_that_leaves_nothing_is_refused() -> None:
    triplets = some_triplets(6, 3, 0)
    with pytest.raises(DataError, match="holding out 10% of the images of drawn leaves no triplet for"):
        hold_out(triplets, "images", 0.1, 0)


def test_own_splits_come_first() -> None:
    triplets = some_triplets(10, 30, 0)
    splits = np.where(np.arange(30) % 3 == 0, "val", "train")
    own = Triplets(**{**triplets.__dict__, "splits": splits})
    train, val = training_and_validation(own, "images", 0.5, 0)
    assert (len(train), len(val)) == (20, 10)


@pytest.mark.parametrize("names", [("train",), ("train", "test")])
def test_without_val_a_part_of_train_is_held_out_and_always_the_same(names: tuple[str, ...]) -> None:
    triplets = some_triplets(30, 60, 0)
    splits = np.array([names[reference % len(names)] for reference in triplets.indices[:, 0]])
    small = Triplets(**{**triplets.__dict__, "splits": splits})
    train, val = training_and_validation(small, "references", 0.2, 0)
    assert len(train) + len(val) == (splits == "train").sum()
    assert set(train.splits) == set(val.splits) == {"train"}
    references = [{part.images[i] for i in part.indices[:, 0]} for part in (train, val)]
    assert not references[0] & references[1]
    assert val.ids.tolist() == training_and_validation(small, "references", 0.2, 0)[1].ids.tolist()
