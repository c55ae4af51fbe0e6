"""What the worker asks of whatever makes images, and what it gets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from app.domain.generation import Role
from app.services.generation.batches import Call, Wanted, Work

Stopping = Callable[[], bool]


class Stopped(Exception):
    """The worker is to stop: the batch goes back to the queue as it was."""


class CannotGenerate(Exception):
    """The model cannot be loaded or run here; the message is for the operator."""


@dataclass(frozen=True)
class ImageRequest:
    """One image to make."""

    number: int
    role: Role
    attempt: int
    seed: int
    prompt: str


@dataclass(frozen=True)
class GeneratedImage:
    """An image as it came out, and whether the model's own safety checker objects to it."""

    image: Image.Image
    is_unsafe: bool = False


@dataclass(frozen=True)
class DrawnItem:
    """An item's images, each with (index of its call, position there), in the order of ROLES."""

    wanted: Wanted
    images: Sequence[Image.Image]
    origins: Sequence[tuple[int, int]]
    distances: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawn:
    """A batch's images; `rejected` has the reason by item number."""

    items: Sequence[DrawnItem]
    rejected: Mapping[int, str]
    calls: Sequence[Call]


class Renderer(Protocol):
    """Makes images from seeds; several calls where one would be too much."""

    def __call__(
        self, requests: Sequence[ImageRequest], stopping: Stopping
    ) -> Iterator[tuple[Call, list[GeneratedImage]]]: ...


class Generator(Protocol):
    """Makes the images of batches. `note` is what the operator should know."""

    note: str | None

    def make(self, work: Work, stopping: Stopping) -> Drawn:
        """Raises Stopped once `stopping` says so, CannotGenerate if the model cannot be run here."""
