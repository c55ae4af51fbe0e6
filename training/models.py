"""The perceptual metric: an ensemble of towers, a head, and the distance between embeddings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from training.backbones import Tower, open_tower
from training.config import LoraSettings, ModelConfig
from training.errors import CheckpointError
from training.finite import require_finite

PROJECTIONS = ["q_proj", "k_proj", "v_proj"]


class ResidualMlp(nn.Module):
    """x + W₂ relu(W₁ x): the head of the paper for frozen towers (one hidden layer)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        update: Tensor = self.fc2(nn.functional.relu(self.fc1(features)))
        return features + update


class PerceptualModel(nn.Module):
    """Embeds images so that 1 − cosine is their perceptual distance (arXiv 2306.09344, section 4)."""

    def __init__(self, towers: list[Tower], head: nn.Module | None = None) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.head = head or nn.Identity()

    @property
    def image_size(self) -> int:
        """The side that images are prepared at: the largest of the towers'; smaller towers resize for
        themselves.
        """
        return max(tower.image_size for tower in self.iter_towers())

    @property
    def width(self) -> int:
        return sum(tower.width for tower in self.iter_towers())

    def iter_towers(self) -> Iterator[Tower]:
        for tower in self.towers:
            assert isinstance(tower, Tower)
            yield tower

    def features(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w), uint8 or floats in [0, 1], to the towers' features side by side (n, width)."""
        if images.dtype == torch.uint8:
            images = images.float() / 255
        return torch.cat([tower(images).float() for tower in self.iter_towers()], dim=-1)

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w), uint8 or floats in [0, 1], to embeddings (n, width) of unit length."""
        return embedding(self.head(self.features(images)))


def embedding(features: Tensor) -> Tensor:
    """Features (n, f), each centred by its own mean and scaled to unit length."""
    return nn.functional.normalize(features - features.mean(dim=-1, keepdim=True), dim=-1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """1 − cosine of embeddings (…, f) of unit length, in [0, 2], as ½‖a − b‖².

    For unit vectors both are the same number; this one is never below 0, and exactly 0 where a = b.
    """
    return (a - b).square().sum(dim=-1) / 2


class MlpMetric(nn.Module):
    """The trainable part of a frozen ensemble: features (n, f) to embeddings (n, f)."""

    def __init__(self, head: ResidualMlp) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        return embedding(self.head(features))


def build_model(config: ModelConfig, seed: int = 0) -> PerceptualModel:
    """Pretrained towers and a fresh head drawn from `seed`; only the head's parameters train."""
    model = PerceptualModel([open_tower(tower) for tower in config.towers])
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if config.head == "lora":
            add_lora(model, config.lora)
        elif config.head == "mlp":
            model.head = ResidualMlp(model.width, config.mlp.hidden)
    return model


def as_built(config: ModelConfig, model: PerceptualModel) -> ModelConfig:
    """`config` with what its towers' own files have added, so that it says all by itself what was built."""
    return config.model_copy(update={"towers": tuple(tower.config for tower in model.iter_towers())})


def add_lora(model: PerceptualModel, settings: LoraSettings) -> None:
    """Adapters on the query, key and value projections of every block (Hu et al. 2021); B starts at zero."""
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # peft computes with any number
        lora_dropout=settings.dropout,
        bias="none",
        target_modules=PROJECTIONS,
    )
    inject_adapter_in_model(lora, model)


def lora_settings(model: PerceptualModel) -> LoraSettings:
    """What `add_lora` was given. Raises CheckpointError for a model without adapters."""
    layer = next((module for module in model.modules() if isinstance(module, LoraLayer)), None)
    if layer is None:
        raise CheckpointError("this model has no LoRA adapters, and only such a model can be written in this layout")
    dropout = getattr(layer.lora_dropout["default"], "p", 0.0)  # no dropout is an Identity
    return LoraSettings(rank=layer.r["default"], alpha=layer.lora_alpha["default"], dropout=dropout)


def merge_lora(model: PerceptualModel) -> PerceptualModel:
    """Adds every adapter to its weights for good, so that inference costs what the bare towers cost."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLayer):
                child.merge()
                setattr(parent, name, child.get_base_layer())
    return model


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes, by name, detached and on the CPU."""
    if any(isinstance(module, LoraLayer) for module in model.modules()):
        state = get_peft_model_state_dict(model)
    else:
        state = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("head.")}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}


def load_trainable_state(model: nn.Module, state: dict[str, Tensor], origin: Path) -> None:
    """Puts back what `trainable_state` took.

    Raises CheckpointError naming the first tensor that does not fit.
    """
    check_same_tensors(trainable_state(model), state, origin)
    if any(isinstance(module, LoraLayer) for module in model.modules()):
        set_peft_model_state_dict(model, state)
    else:
        model.load_state_dict(state, strict=False)


def check_same_tensors(wanted: dict[str, Tensor], found: dict[str, Tensor], origin: Path) -> None:
    """Raises CheckpointError naming the first tensor of `found` that is missing, unknown, of another shape or
    not finite.
    """
    for name, tensor in wanted.items():
        if name not in found:
            raise CheckpointError(f"{origin} is of another architecture: tensor {name} is missing")
        if found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            raise CheckpointError(f"{origin} is of another architecture: tensor {name} is {shapes}")
    unknown = [name for name in found if name not in wanted]
    if unknown:
        raise CheckpointError(f"{origin} is of another architecture: tensor {unknown[0]} has no place in the model")
    require_finite(found, origin)


def use_attention(model: PerceptualModel, implementation: str) -> None:
    for tower in model.iter_towers():
        tower.backbone.set_attn_implementation(implementation)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off and no gradients, inside the block only."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)
