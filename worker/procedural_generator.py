"""Procedural triplets, with the latent distances as ground truth: as a generator, and straight into a draft study."""

import io
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from itertools import islice, product

from PIL import Image

from app.db import Sessions
from app.domain.generation import ROLES, image_seed
from app.domain.protocol import Kind
from app.generators.procedural.catalogue import CATEGORIES
from app.generators.procedural.draw import draw
from app.generators.procedural.sampling import triplet, two_pairs
from app.generators.procedural.scene import Scene, prompt
from app.services import study_lookup
from app.services.generation.batches import Call, Wanted, Work
from app.services.items import images
from app.services.items.images import CheckedImage
from app.services.items.items import NewItem, add_items, next_number, require_draft
from app.storage import Storage
from worker.generator import Drawn, DrawnItem, Stopped, Stopping

SOURCE = "procedural"
_SEEDS_PER_STUDY = 1_000_000


class Procedural:
    """Draws the items of batches; an item's three images come from one seed. In JND a triplet is two pairs, at graded
    distances."""

    note: str | None = None

    def make(self, work: Work, stopping: Stopping) -> Drawn:
        items: list[DrawnItem] = []
        calls: list[Call] = []
        for wanted in work.items:
            if stopping():
                raise Stopped
            seed = image_seed(work.study_seed, wanted.number, "reference", 0)
            item, call = self._draw(wanted, work.kind, seed, len(calls))
            items.append(item)
            calls.append(call)
        return Drawn(items, {}, calls)

    def _draw(self, wanted: Wanted, kind: Kind, seed: int, call: int) -> tuple[DrawnItem, Call]:
        started = time.monotonic()
        drawings, distances = draw_item(wanted.category, seed, kind)
        versions = {name: metadata.version(name) for name in ("lookalike", "pillow")}
        recipe = {"generator": SOURCE, "kind": kind, "versions": versions}
        shared = {"number": wanted.number, "attempt": 0, "seed": seed, "category": wanted.category}
        requests = [{"role": role, "prompt": wanted.prompt} | shared for role in ROLES]
        origins = [(call, position) for position in range(len(ROLES))]
        return DrawnItem(wanted, drawings, origins, distances), Call(recipe, requests, time.monotonic() - started)


def draw_item(category: str, seed: int, kind: Kind) -> tuple[list[Image.Image], tuple[float, float]]:
    """A triplet's images in the order of ROLES, and the latent distances of its candidates."""
    drawn = (two_pairs if kind == "jnd" else triplet)(category, seed)
    drawings = [draw(scene) for scene in (drawn.reference, drawn.candidate_0, drawn.candidate_1)]
    return drawings, (drawn.distance_0, drawn.distance_1)


@dataclass(frozen=True)
class _Drawn:
    prompt: str
    images: tuple[CheckedImage, CheckedImage, CheckedImage]
    distances: tuple[float, float]


def add_drawn(
    sessions: Sessions, storage: Storage, *, slug: str, count: int, report: Callable[[str, int, int], None]
) -> None:
    """Draw `count` triplets, the categories in turn, and add them to a draft study, each in its own transaction.

    Raises:
        NotFound: no such study. Conflict: it has started.
    """
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        require_draft(study)
        first = next_number(session, study)
        base = study.seed * _SEEDS_PER_STUDY
    jobs = ((category, base + index) for index, category in _in_turn(first, count))
    # Spawned, not forked: this process may hold database connections and threads.
    # In sessions of their own: what stops us, sent to the whole group, reaches us alone, and we let them end in order.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), initializer=os.setsid) as pool:
        for done, drawn in enumerate(pool.map(_draw, *zip(*jobs, strict=True), chunksize=4)):
            report("drawing triplets", done, count)
            with sessions.begin() as session:
                images.store(session, storage, list(drawn.images))
                item = _new_item(first + done, drawn)
                add_items(session, study=study_lookup.by_slug(session, slug, lock=True), items=[item])
    report("drawing triplets", count, count)


def _in_turn(first: int, count: int) -> list[tuple[int, str]]:
    categories = (category for _, category in product(range(first + count), CATEGORIES))
    return list(islice(enumerate(categories), first, first + count))


def _draw(category: str, seed: int) -> _Drawn:
    drawn = triplet(category, seed)
    reference, candidate_0, candidate_1 = (
        _checked(scene) for scene in (drawn.reference, drawn.candidate_0, drawn.candidate_1)
    )
    return _Drawn(prompt(category), (reference, candidate_0, candidate_1), (drawn.distance_0, drawn.distance_1))


def _checked(scene: Scene) -> CheckedImage:
    buffer = io.BytesIO()
    draw(scene).save(buffer, "PNG")
    return images.check(buffer.getvalue(), name=scene.category)


def _new_item(number: int, drawn: _Drawn) -> NewItem:
    reference, candidate_0, candidate_1 = (image.sha256 for image in drawn.images)
    return NewItem(
        number=number,
        reference=reference,
        candidate_0=candidate_0,
        candidate_1=candidate_1,
        prompt=drawn.prompt,
        source=SOURCE,
        distance_0=drawn.distances[0],
        distance_1=drawn.distances[1],
    )
