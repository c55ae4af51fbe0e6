"""Text-to-image models through diffusers: what one needs, loading it, and images from seeds.

The only file that knows diffusers. The same call (prompts, seeds, their order, recipe) on the same kind of device with
the same versions gives the same pixels, so every call is recorded as it was made. Noise is drawn on the CPU, from one
generator per image: what an image shows depends on neither its place, nor its batch, nor the device.
"""

import gc
import hashlib
import inspect
import json
import platform
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import diffusers
import structlog
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from PIL import Image
from transformers import AutoTokenizer

from app.domain.generation import Options
from app.errors import BadInput
from app.redaction import redact
from app.services.generation.batches import Call, Work
from worker.generator import CannotGenerate, Drawn, Picture, Shot, Stopped, Stopping
from worker.image_retries import make_items

log = structlog.get_logger()

_INDEX = "model_index.json"
_WEIGHTS = (".safetensors", ".bin")
_ONE_LOADS = threading.Lock()
"""While a model is loaded, torch makes modules without memory, on every thread."""
_WITHOUT_SEED = frozenset({"DPMSolverSDEScheduler"})
"""Schedulers that draw noise in every step and take no generator: a seed does not say what they make."""
_NO_LIMIT = 100_000
"""Tokenizers that know no limit name a number like 10³⁰."""


@dataclass(frozen=True)
class Preset:
    """Sensible values for a kind of model; `batch_size` is in items, that is in three images each."""

    name: str
    steps: int | None
    guidance: float | None
    dtype: str
    batch_size: int
    side: int | None = None


_SD_1 = Preset("Stable Diffusion 1.x", 30, 7.5, "float16", 8)
_SD_2 = Preset("Stable Diffusion 2.x", 30, 9.0, "float16", 4)
_SDXL = Preset("Stable Diffusion XL", 30, 5.0, "float16", 2)
_SD_3 = Preset("Stable Diffusion 3.x", 28, 4.5, "bfloat16", 2)
_FLUX_DEV = Preset("FLUX.1 dev", 28, 3.5, "bfloat16", 1, side=1024)
_FLUX_SCHNELL = Preset("FLUX.1 schnell", 4, 0.0, "bfloat16", 1, side=1024)
_OTHER = Preset("other", None, None, "bfloat16", 1)


@dataclass(frozen=True)
class Model:
    """A text-to-image pipeline that is there, at one revision, with every option decided."""

    name: str
    revision: str
    pipeline: str
    preset: Preset
    options: Options


class _Files:
    """A model's files, in a folder or on the hub."""

    def __init__(self, name: str, revision: str | None) -> None:
        self.folder = Path(name).resolve() if Path(name).is_dir() else None
        self.name = name if self.folder is None else str(self.folder)
        self._revision = revision

    def path(self, file: str) -> Path:
        """Raises BadInput if the model or the file is not there."""
        if self.folder is not None:
            if not (self.folder / file).is_file():
                raise BadInput(f"The model {self.name} lacks {file}.")
            return self.folder / file
        try:
            return Path(hf_hub_download(self.name, file, revision=self._revision))
        except HFValidationError:
            raise BadInput(f"{self.name!r} is neither a folder nor the id of a model on the hub.") from None
        except LocalEntryNotFoundError:
            raise BadInput(f"The model {self.name!r} is not on this machine, and the hub cannot be reached.") from None
        except (HfHubHTTPError, OSError) as error:
            raise BadInput(f"The model {self.name!r} or its {file} cannot be fetched: {_first_line(error)}") from None

    def json(self, file: str) -> dict[str, Any]:
        try:
            content = json.loads(self.path(file).read_bytes())
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise BadInput(f"The model {self.name} is damaged: {file} is not a JSON object.")
        return content

    def revision(self) -> str:
        """The commit on the hub; a digest of a folder's files."""
        if self.folder is None:
            return self.path(_INDEX).parent.name
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                with path.open("rb") as file:
                    digest.update(f"{relative.as_posix()}\0".encode() + hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def describe(name: str, *, revision: str | None = None, options: Options) -> Model:
    """Look a model up without loading its weights, and decide what `options` leaves open.

    Raises:
        BadInput: there is no such model, it lacks a file, is not text-to-image, or cannot do what the options ask.
    """
    files = _Files(name, revision)
    index = files.json(_INDEX)
    kind = getattr(diffusers, str(index.get("_class_name")), None)
    if not (inspect.isclass(kind) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise BadInput(
            f"The model {name} is a {index.get('_class_name')}, which diffusers {diffusers.__version__} does not know."
        )
    parameters = inspect.signature(kind.__call__).parameters
    if not {"prompt", "generator"} <= set(parameters) or "image" in parameters:
        raise BadInput(f"The model {name} is a {kind.__name__}, which makes no images from text alone.")
    if files.folder is not None:
        _require_components(files.folder, index)
    preset = _preset(files, index)
    _check_options(files.name, kind, index, parameters, options)
    own = _own_size(files, index, preset)
    decided = replace(
        options,
        steps=options.steps or preset.steps,
        guidance=preset.guidance if options.guidance is None else options.guidance,
        width=options.width or own,
        height=options.height or own,
        dtype=options.dtype or preset.dtype,
    )
    return Model(files.name, files.revision(), kind.__name__, preset, decided)


def _components(index: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, class) of what the pipeline is made of."""
    for name, entry in index.items():
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None:
            yield name, str(entry[1])


def _require_components(folder: Path, index: Mapping[str, Any]) -> None:
    for name, kind in _components(index):
        files = [path.name for path in (folder / name).glob("*")]
        is_model = "config.json" in files and not kind.endswith(("Processor", "Extractor"))
        if not files:
            raise BadInput(f"The model {folder} lacks its {name}: there is nothing in {folder / name}.")
        if is_model and not any(file.endswith(_WEIGHTS) for file in files):
            raise BadInput(f"The model {folder} lacks the weights of its {name}.")


def _preset(files: _Files, index: Mapping[str, Any]) -> Preset:
    match index["_class_name"]:
        case "StableDiffusionPipeline":
            return _SD_2 if files.json("unet/config.json").get("cross_attention_dim") == 1024 else _SD_1
        case "StableDiffusionXLPipeline":
            return _SDXL
        case "StableDiffusion3Pipeline":
            return _SD_3
        case "FluxPipeline":
            return _FLUX_DEV if files.json("transformer/config.json").get("guidance_embeds") else _FLUX_SCHNELL
    return _OTHER


def _own_size(files: _Files, index: Mapping[str, Any], preset: Preset) -> int | None:
    """The side in pixels that the model was made for, if its files tell."""
    names = {name for name, _ in _components(index)}
    for name in names & {"unet", "transformer"}:
        side = files.json(f"{name}/config.json").get("sample_size")
        if isinstance(side, int) and "vae" in names:
            return side << (len(files.json("vae/config.json").get("block_out_channels", [0])) - 1)
    return preset.side


def _check_options(
    name: str, kind: type, index: Mapping[str, Any], parameters: Mapping[str, Any], options: Options
) -> None:
    if options.guidance is not None and "guidance_scale" not in parameters:
        raise BadInput(f"The model {name} is a {kind.__name__}, which takes no guidance.")
    own = str((index.get("scheduler") or [None, None])[1])
    if (options.scheduler or own) in _WITHOUT_SEED:
        raise BadInput(
            f"The scheduler {options.scheduler or own} ignores the seed of an image: none could be made again. "
            "Choose another one with --scheduler, for example DPMSolverMultistepScheduler."
        )
    if options.scheduler is None:
        return
    kin = "DPMSolverMultistepScheduler" if own in _WITHOUT_SEED else own
    fitting = {own, *getattr(getattr(diffusers, kin, None), "_compatibles", ())} - _WITHOUT_SEED
    flows = own.startswith("FlowMatch") and options.scheduler.startswith("FlowMatch")
    if not hasattr(diffusers, options.scheduler) or not (flows or options.scheduler in fitting):
        raise BadInput(
            f"The scheduler {options.scheduler!r} does not go with {name}. These do: {', '.join(sorted(fitting))}."
        )


def check_prompts(model: Model, prompts: Iterable[str]) -> None:
    """Raises BadInput, naming them, if prompts have more tokens than the model reads."""
    files = _Files(model.name, model.revision)
    index = files.json(_INDEX)
    reads = inspect.signature(getattr(diffusers, model.pipeline).__call__).parameters.get("max_sequence_length")
    too_long: dict[str, str] = {}
    for name in (name for name, _ in _components(index) if name.startswith("tokenizer")):
        tokenizer = _tokenizer(files, name, model.revision)
        limit = min(tokenizer.model_max_length, reads.default if reads else _NO_LIMIT)
        if limit < _NO_LIMIT:
            for prompt in prompts:
                if (tokens := len(tokenizer(prompt, verbose=False).input_ids)) > limit:
                    too_long.setdefault(prompt, f"{prompt!r} has {tokens} tokens, the model reads {limit}")
    if too_long:
        shown = "; ".join(list(too_long.values())[:5])
        raise BadInput(f"{len(too_long)} prompts are too long: {shown}.")


def _tokenizer(files: _Files, name: str, revision: str) -> Any:
    """Raises BadInput if it is not there, or cannot be read."""
    try:
        if files.folder is not None:
            return AutoTokenizer.from_pretrained(f"{files.folder}/{name}")
        return AutoTokenizer.from_pretrained(files.name, subfolder=name, revision=revision)
    except (OSError, ValueError) as error:
        raise BadInput(f"The {name} of the model {files.name} cannot be loaded: {_first_line(error)}") from None


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
            files = _Files(model, revision)
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
            raise CannotGenerate(f"{model} cannot be loaded: {_first_line(error)}") from error
        return cls(pipeline, model=model, revision=revision, options=options, device=device)

    def make(self, work: Work, stopping: Stopping) -> Drawn:
        return make_items(work, self.render, stopping)

    def render(self, shots: Sequence[Shot], stopping: Stopping) -> Iterator[tuple[Call, list[Picture]]]:
        """As many images a call as memory allows.

        Raises:
            Stopped: between two steps. CannotGenerate: there is no room for a single image, or the model fails.
        """
        done = 0
        while done < len(shots):
            chunk = shots[done : done + (self._most or len(shots))]
            started = time.monotonic()
            pictures = self._call_with_room(chunk, stopping)
            if pictures is None:  # and the error is gone, with the frames that held on to the memory
                self._halve(len(chunk))
                continue
            yield Call(self.recipe, [asdict(shot) for shot in chunk], time.monotonic() - started), pictures
            done += len(chunk)

    def _call_with_room(self, shots: Sequence[Shot], stopping: Stopping) -> list[Picture] | None:
        """One call, or None if there is no room for it."""
        try:
            return self.call(shots, stopping)
        except torch.OutOfMemoryError:
            return None
        except Stopped:
            raise
        except Exception as error:  # prompts and seeds are all alike: what fails with some fails with all
            log.exception("the model failed")
            raise CannotGenerate(f"The model failed: {_first_line(error)}") from error

    def call(self, shots: Sequence[Shot], stopping: Stopping = lambda: False) -> list[Picture]:
        """One call of the pipeline."""

        def look_up(_pipeline: Any, _step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if stopping():
                raise Stopped
            return tensors

        output = self._pipeline(
            prompt=[shot.prompt for shot in shots],
            generator=[torch.Generator("cpu").manual_seed(shot.seed) for shot in shots],
            **self._arguments,
            **({"callback_on_step_end": look_up} if self._can_stop else {}),
        )
        images: list[Image.Image] = output.images
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(images)
        return [Picture(image, bool(flag)) for image, flag in zip(images, unsafe, strict=True)]

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
        raise CannotGenerate(f"The device {name!r} cannot be used: {_first_line(error)}") from None
    return device


def _load(files: _Files, revision: str, options: Options, device: torch.device) -> Any:
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


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redact(lines[0]) if lines else type(error).__name__
