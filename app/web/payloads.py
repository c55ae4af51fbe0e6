"""The JSON of the participant's HTTP contract."""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, field_validator

MAX_JUDGMENTS = 100
MAX_TIMING_BYTES = 16 * 1024
MAX_INPUT = 32


class Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Enrolled(Payload):
    token: str
    url: str


class AssignmentProgress(Payload):
    position: Annotated[int, Field(description="answered and skipped trials")]
    total: int
    state: str


class ShownTrial(Payload):
    id: int
    attempt: Annotated[int, Field(description="the number to name if this attempt has to be aborted")]
    practice: Annotated[bool | None, Field(description="present on practice trials only")] = None


class Shown2AFC(ShownTrial):
    kind: Literal["2afc"] = "2afc"
    images: Annotated[dict[str, str], Field(description="reference, left, right: opaque addresses")]
    prompt: Annotated[str | None, Field(description="present on instruction trials: what to choose")] = None


class ShownJND(ShownTrial):
    kind: Literal["jnd"] = "jnd"
    flashes: Annotated[list[str], Field(description="opaque addresses in the order of their appearance")]
    pairs: Annotated[list[tuple[int, int]], Field(description="places among the flashes, from 0")]
    questions: Annotated[list[str], Field(description="one about each pair")]


class PresentationOut(Payload):
    scale: float
    stimulus_ms: Annotated[int | None, Field(description="JND: how long each image is flashed")] = None
    gap_ms: Annotated[int | None, Field(description="JND: how long nothing is shown between two")] = None


class Trials(Payload):
    assignment: AssignmentProgress
    presentation: PresentationOut
    trials: list[Annotated[Shown2AFC | ShownJND, Field(discriminator="kind")]]


def _usable_time(value: Any) -> Any:
    """A bad response time never costs the answer: it is dropped and the judgment marked as suspect."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None


def _usable_timing(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    try:
        # What Postgres could not store as jsonb is not usable either: NaN, lone surrogates, the null character.
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if len(encoded) <= MAX_TIMING_BYTES and b"\\u0000" not in encoded else None


def _usable_input(value: Any) -> Any:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_INPUT and value.isprintable() else None


class GivenJudgment(Payload):
    """Only `trial` and `answers` can fail: everything else is stored if it is usable."""

    trial: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    answers: Annotated[
        list[Literal["left", "right", "same", "different"]],
        Field(min_length=1, max_length=2, description="left or right; in JND same or different to each question"),
    ]
    input: Annotated[str | None, BeforeValidator(_usable_input)] = None
    rt_ms: Annotated[float | None, BeforeValidator(_usable_time)] = None
    timing: Annotated[dict[str, Any] | None, BeforeValidator(_usable_timing)] = None


class GivenJudgments(Payload):
    judgments: Annotated[list[GivenJudgment], Field(min_length=1)]


class FeedbackOut(Payload):
    trial: int
    correct: bool
    expected: Annotated[str | list[str], Field(description="left or right; in JND the right answer to each question")]


class Accepted(Payload):
    accepted: list[int]
    position: int
    total: int
    feedback: list[FeedbackOut]


class GivenAbort(Payload):
    trial: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    attempt: Annotated[int, Field(strict=True, ge=0, le=100)]
    reason: Literal["hidden", "decode", "resize"]
    timing: Annotated[dict[str, Any] | None, BeforeValidator(_usable_timing)] = None


class EndingOut(Payload):
    kind: Literal["redirect", "form", "thanks"]
    url: str | None = None
    fields: dict[str, str] = {}


class Completed(Payload):
    completion_code: str
    redirect: str | None
    ending: EndingOut


class GivenCheck(Payload):
    answers: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10)]


class CheckOutcome(Payload):
    passed: bool
    tries_left: int
    wrong: Annotated[list[int], Field(description="places of the questions to think about again, from 0")]


class GivenEnvironment(RootModel[dict[str, Any]]):
    @field_validator("root")
    @classmethod
    def _storable(cls, value: dict[str, Any]) -> dict[str, Any]:
        if _usable_timing(value) is None:
            raise ValueError("must be an object of at most 16 kB without NaN")
        return value
