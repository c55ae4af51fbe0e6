"""How a tower wants its pixels: the mean and the deviation that it was trained with."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from transformers.utils import IMAGE_PROCESSOR_NAME, PROCESSOR_NAME
from transformers.utils.hub import cached_file

from training.config import Normalisation
from training.errors import WeightsError

NAMED = {
    "imagenet": Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "clip": Normalisation(
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
}
_LEVELS = 255  # of a pixel that no processor has rescaled yet


def read_normalisation(source: str, only_local: bool) -> Normalisation | None:
    """What the weights' own files say of pixels in [0, 1]; None where they say nothing.

    Raises WeightsError for a file that cannot be used.
    """
    settings = _processor(source, only_local)
    if settings is None:
        return None
    try:
        return _parsed(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise _unusable(source, f"image_{first['loc'][0]} = {first['input']!r}: {first['msg']}") from None
    except KeyError as error:
        raise _unusable(source, f"{error.args[0]} is missing") from None
    except (TypeError, ZeroDivisionError):
        raise _unusable(source, "rescale_factor must be a number above 0") from None


def _processor(source: str, only_local: bool) -> dict[str, Any] | None:
    """The settings of the image processor: newer files hold them beside those of a tokenizer."""
    for name in (PROCESSOR_NAME, IMAGE_PROCESSOR_NAME):
        file = cached_file(
            source,
            name,
            local_files_only=only_local,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if file is None:
            continue
        try:
            table = json.loads(Path(file).read_text("utf-8-sig"))
        except (OSError, ValueError) as error:
            raise _unusable(source, f"{name} cannot be read as JSON ({error})") from None
        settings = (
            table if name == IMAGE_PROCESSOR_NAME or not isinstance(table, dict) else table.get("image_processor")
        )
        if settings is not None and not isinstance(settings, dict):
            raise _unusable(source, f"{name} is no table of settings")
        if settings is not None:
            return settings
    return None


def _parsed(settings: dict[str, Any]) -> Normalisation:
    scale = _LEVELS * settings.get("rescale_factor", 1 / _LEVELS) if settings.get("do_rescale", True) else _LEVELS
    scale = 1.0 if abs(scale - 1) < 1e-6 else scale
    if not settings.get("do_normalize", True):
        return Normalisation(mean=(0, 0, 0), std=(1 / scale,) * 3)
    wanted = Normalisation(mean=settings["image_mean"], std=settings["image_std"])
    mean, std = ([value / scale for value in values] for values in (wanted.mean, wanted.std))
    return Normalisation.model_validate({"mean": mean, "std": std})


def _unusable(source: str, reason: str) -> WeightsError:
    return WeightsError(
        f"{source}: how it wants its pixels is unclear ({IMAGE_PROCESSOR_NAME}: {reason}). "
        "Correct that file, or give the tower's normalisation in the experiment"
    )
