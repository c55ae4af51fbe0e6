"""Orders to generate items: checked against what the generator can do before anything is planned."""

from collections.abc import Sequence

from app.domain import categories as names
from app.domain.generation import Options
from app.errors import BadInput
from app.generators.diffusion_models import check_prompts, describe
from app.generators.procedural.catalogue import CATEGORIES
from app.services.generation.plans import Order

PROCEDURAL_BATCH = 8
_SHOWN = 10


def drawable() -> Sequence[str]:
    """The categories that the procedural generator can draw."""
    return CATEGORIES


def order_drawings(categories: Sequence[str], *, per_category: int, batch_size: int | None = None) -> Order:
    """Procedural drawings; without categories, of everything that can be drawn.

    Raises:
        BadInput: a category that cannot be drawn.
    """
    possible = drawable()
    if unknown := [name for name in categories if name not in possible]:
        raise BadInput(f"Nobody can draw {', '.join(unknown[:_SHOWN])}. What can be drawn: {', '.join(possible)}.")
    return Order("procedural", categories or possible, per_category, batch_size or PROCEDURAL_BATCH)


def order_images(
    categories: Sequence[str],
    *,
    per_category: int,
    model: str,
    revision: str | None = None,
    prompt: str = names.PROMPT,
    articles: bool = False,
    batch_size: int | None = None,
    options: Options,
) -> Order:
    """Images by a text-to-image model, whose revision and options are decided here and now.

    Raises:
        BadInput: there is no such model, it cannot do what is asked, or a prompt is too long for it.
        Unavailable: no text-to-image library is installed here.
    """
    prompts = [names.prompt(prompt, name, articles=articles) for name in categories]
    described = describe(model, revision=revision, options=options)
    check_prompts(described, prompts)
    return Order(
        "diffusers",
        categories,
        per_category,
        batch_size or described.preset.batch_size,
        model=described.name,
        revision=described.revision,
        options=described.options,
        prompt=prompt,
        articles=articles,
    )
