"""What a text-to-image pipeline of diffusers is and can do, told from its files; its weights are not loaded.

The libraries are no part of a server's installation: they are imported when a model is looked at.
"""

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from app.domain.generation import Options
from app.errors import BadInput, Unavailable
from app.redaction import redact

_LIBRARIES = ("diffusers", "torch", "huggingface_hub", "transformers")
_INDEX = "model_index.json"
_WEIGHTS = (".safetensors", ".bin")
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


class ModelFiles:
    """A model's files, in a folder or on the hub."""

    def __init__(self, name: str, revision: str | None) -> None:
        self.folder = Path(name).resolve() if Path(name).is_dir() else None
        self.name = name if self.folder is None else str(self.folder)
        self._revision = revision

    def path(self, file: str) -> Path:
        """Raises BadInput if the model or the file is not there."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

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
            raise BadInput(f"The model {self.name!r} or its {file} cannot be fetched: {first_line(error)}") from None

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


def require_libraries() -> None:
    """Raises Unavailable, naming it, if a library is not installed here."""
    try:
        for library in _LIBRARIES:
            import_module(library)
    except ImportError as error:
        raise Unavailable(f"{error.name} is not installed here: pip install '.[worker]'.") from None


def describe(name: str, *, revision: str | None = None, options: Options) -> Model:
    """Look a model up without loading its weights, and decide what `options` leaves open.

    Raises:
        BadInput: there is no such model, it lacks a file, is not text-to-image, or cannot do what the options ask.
        Unavailable: no text-to-image library is installed here.
    """
    require_libraries()
    import diffusers

    files = ModelFiles(name, revision)
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


def _preset(files: ModelFiles, index: Mapping[str, Any]) -> Preset:
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


def _own_size(files: ModelFiles, index: Mapping[str, Any], preset: Preset) -> int | None:
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
    import diffusers

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
    import diffusers

    files = ModelFiles(model.name, model.revision)
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


def _tokenizer(files: ModelFiles, name: str, revision: str) -> Any:
    """Raises BadInput if it is not there, or cannot be read."""
    from transformers import AutoTokenizer

    try:
        if files.folder is not None:
            return AutoTokenizer.from_pretrained(f"{files.folder}/{name}")
        return AutoTokenizer.from_pretrained(files.name, subfolder=name, revision=revision)
    except (OSError, ValueError) as error:
        raise BadInput(f"The {name} of the model {files.name} cannot be loaded: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redact(lines[0]) if lines else type(error).__name__
