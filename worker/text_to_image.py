"""Text-to-image models through diffusers: loading one, and images from seeds.

The same call (prompts, seeds, their order, recipe) on the same kind of device with
the same versions gives the same pixels, so every call is recorded as it was made. Noise is drawn on the CPU, from one
generator per image: what an image shows depends on neither its place, nor its batch, nor the device.
"""

import gc
import inspect
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from typing import Any, Self

import diffusers
import structlog
import torch
from PIL import Image

from app.domain.generation import Options
from app.errors import BadInput
from app.generators.diffusion_models import ModelFiles, first_line
from app.services.generation.batches import Call, Work
from worker.generator import CannotGenerate, Drawn, GeneratedImage, ImageRequest, Stopped, Stopping
from worker.image_retries import make_items

log = structlog.get_logger()

_ONE_LOADS = threading.Lock()
"""While a model is loaded, torch makes modules without memory, on every thread."""


class TextToImage:
    """A pipeline on a device."""

    def __init__(self, pipeline: Any, *, model: str, revision: str, options: Options, device: torch.device) -> None:
        self.note: str | None = None
        self._pipeline = pipeline
        self._device = device
        self._most: int | None = None
        takes = inspect.signature(pipeline.__call__).parameters
        asked = {
            "num_inference_steps": options.steps,
            "guidance_scale": options.guidance,
            "width": options.width,
            "height": options.height,
            "max_sequence_length": 256 if _is_schnell(pipeline) else None,  # it was distilled on no more
        }
        self._arguments = {name: value for name, value in asked.items() if value is not None and name in takes}
        self._can_stop = "callback_on_step_end" in takes
        self.recipe = _recipe(pipeline, model, revision, options, device)

    @classmethod
    def load(cls, model: str, revision: str, options: Options, device_name: str | None) -> Self:
        """Raises CannotGenerate, saying why."""
        device = _device(device_name)
        try:
            files = ModelFiles(model, revision)
            if files.folder is not None and files.revision() != revision:
                raise CannotGenerate(f"The files in {model} are not those that the plan was made with.")
            with _ONE_LOADS:
                pipeline = _load(files, revision, options, device)
        except BadInput as error:
            raise CannotGenerate(error.message) from None
        except torch.OutOfMemoryError:
            raise CannotGenerate(f"{model} does not fit into the memory of {device}.") from None
        except CannotGenerate:
            raise
        except Exception as error:  # what loading somebody's files can raise is anybody's guess
            raise CannotGenerate(f"{model} cannot be loaded: {first_line(error)}") from error
        return cls(pipeline, model=model, revision=revision, options=options, device=device)

    def make(self, work: Work, stopping: Stopping) -> Drawn:
        return make_items(work, self.render, stopping)

    def render(
        self, requests: Sequence[ImageRequest], stopping: Stopping
    ) -> Iterator[tuple[Call, list[GeneratedImage]]]:
        """As many images a call as memory allows.

        Raises:
            Stopped: between two steps. CannotGenerate: there is no room for a single image, or the model fails.
        """
        done = 0
        while done < len(requests):
            chunk = requests[done : done + (self._most or len(requests))]
            started = time.monotonic()
            images = self._call_with_room(chunk, stopping)
            if images is None:  # and the error is gone, with the frames that held on to the memory
                self._halve(len(chunk))
                continue
            yield Call(self.recipe, [asdict(request) for request in chunk], time.monotonic() - started), images
            done += len(chunk)

    def _call_with_room(self, requests: Sequence[ImageRequest], stopping: Stopping) -> list[GeneratedImage] | None:
        """One call, or None if there is no room for it."""
        try:
            return self.call(requests, stopping)
        except torch.OutOfMemoryError:
            return None
        except Stopped:
            raise
        except Exception as error:  # prompts and seeds are all alike: what fails with some fails with all
            log.exception("the model failed")
            raise CannotGenerate(f"The model failed: {first_line(error)}") from error

    def call(self, requests: Sequence[ImageRequest], stopping: Stopping = lambda: False) -> list[GeneratedImage]:
        """One call of the pipeline."""

        def look_up(_pipeline: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if stopping():
                raise Stopped
            return tensors

        output = self._pipeline(
            prompt=[request.prompt for request in requests],
            generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            **self._arguments,
            **({"callback_on_step_end": look_up} if self._can_stop else {}),
        )
        images: list[Image.Image] = output.images
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(images)
        return [GeneratedImage(image, bool(flag)) for image, flag in zip(images, unsafe, strict=True)]

    def _halve(self, tried: int) -> None:
        _empty_cache(self._device)
        if tried == 1:
            raise CannotGenerate(f"There is no room for a single image in the memory of {self._device}.")
        self._most = (tried + 1) // 2
        self.note = f"{self._device} has no room for {tried} images at a time; goes on with {self._most}"
        log.warning("out of memory", device=str(self._device), tried=tried, images_at_a_time=self._most)


def _device(name: str | None) -> torch.device:
    try:
        if name is None:
            accelerator = torch.accelerator.current_accelerator(check_available=True)
            return accelerator if accelerator is not None else torch.device("cpu")
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CannotGenerate(f"The device {name!r} cannot be used: {first_line(error)}") from None
    return device


def _load(files: ModelFiles, revision: str, options: Options, device: torch.device) -> Any:
    diffusers.utils.logging.disable_progress_bar()
    pipeline: Any = diffusers.DiffusionPipeline
    pipeline = pipeline.from_pretrained(
        files.name,
        revision=None if files.folder is not None else revision,
        dtype=getattr(torch, options.dtype or "float32"),
    )
    if options.scheduler is not None:
        pipeline.scheduler = getattr(diffusers, options.scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    if options.attention_slicing:
        pipeline.enable_attention_slicing()
    if options.compile:
        for name in ("unet", "transformer"):
            if getattr(pipeline, name, None) is not None:
                getattr(pipeline, name).compile()
    torch.backends.cudnn.benchmark = False  # which would choose kernels by their speed today
    return pipeline


@contextmanager
def using_threads_of(recipe: Mapping[str, Any]) -> Iterator[None]:
    """As many threads as made the images: on a CPU the order of sums, and so the last bits, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(recipe["threads"])
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_schnell(pipeline: Any) -> bool:
    return type(pipeline).__name__ == "FluxPipeline" and not pipeline.transformer.config.guidance_embeds


def _recipe(pipeline: Any, model: str, revision: str, options: Options, device: torch.device) -> dict[str, Any]:
    """What all images of a loaded model share."""
    packages = ("torch", "diffusers", "transformers", "numpy", "pillow", "lookalike")
    return asdict(options) | {
        "generator": "diffusers",
        "model": model,
        "revision": revision,
        "pipeline": type(pipeline).__name__,
        "scheduler": type(pipeline.scheduler).__name__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda}
        | {package: metadata.version(package) for package in packages},
    }


def _empty_cache(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
