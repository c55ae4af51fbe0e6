"""Items made again from what is on record of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.generation import ROLES, Options, Role
from app.errors import NotFound
from app.models.generation import GenerationCall
from app.models.items import Item
from app.services import study_lookup
from app.services.generation import batches
from worker.generator import ImageRequest
from worker.procedural_generator import draw_item


def reproduce(
    session: Session, *, slug: str, numbers: list[int], device: str | None = None
) -> dict[tuple[int, Role], Image.Image]:
    """The images of items by (number, role): every call that made one is made again as it was.

    On the same kind of device, with the same versions, they are the same to the pixel.

    Raises:
        NotFound: no such study, or an item that was not generated.
        CannotGenerate: the model is not what it was, or not there.
    """
    study = study_lookup.by_slug(session, slug)
    ids = dict(
        session.execute(select(Item.number, Item.id).where(Item.study_id == study.id, Item.number.in_(numbers))).all()
    )
    made: dict[int, list[Image.Image]] = {}
    caller = _Caller(device)
    found: dict[tuple[int, Role], Image.Image] = {}
    for number in numbers:
        origins = batches.origins(session, item_id=ids[number]) if number in ids else {}
        if not origins:
            raise NotFound(f"The study {slug!r} has no generated item {number}.")
        for role in ROLES:
            call, position = origins[role]
            if call.id not in made:
                made[call.id] = caller.make(call)
            found[number, role] = made[call.id][position]
    return found


class _Caller:
    """Makes calls again; consecutive ones of one recipe load their model once."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._recipe: Mapping[str, Any] | None = None
        self._model: Any = None

    def make(self, call: GenerationCall) -> list[Image.Image]:
        if call.recipe["generator"] == "procedural":
            return draw_item(call.images[0]["category"], call.images[0]["seed"], call.recipe["kind"])[0]
        from worker.text_to_image import TextToImage, using_threads_of

        if self._recipe != call.recipe:
            self._recipe = call.recipe
            options = Options(**{field.name: call.recipe[field.name] for field in fields(Options)})
            self._model = TextToImage.load(call.recipe["model"], call.recipe["revision"], options, self._device)
        with using_threads_of(call.recipe):
            return [
                generated.image for generated in self._model.call([ImageRequest(**request) for request in call.images])
            ]
