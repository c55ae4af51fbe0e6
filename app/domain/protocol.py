"""A study's protocol: what participants are asked, how votes are filtered, what is paid.

Written as TOML (docs/protocol.md) or started from a preset, validated here, stored as a version with the study.
"""

import math
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from app.domain.consensus import Drop, Rule
from app.domain.counted import counted
from app.domain.quality_rules import QualityRules
from app.errors import BadInput

_PRESETS = resources.files("app.domain") / "presets"
_LONGEST_TEXT = 20_000
_LONGEST_QUOTE = 80
SHORTEST_MS = 34
"""Two frames at 60 Hz: what is shorter cannot be shown for sure."""
FLASHES_PER_SECOND = 3
"""The most that anybody may be shown (WCAG 2.2, success criterion 2.3.1)."""
_NOT_TOML = (ValueError, RecursionError)  # also numbers of thousands of digits, and brackets in brackets

Kind = Literal["2afc", "jnd"]
Text = Annotated[str, Field(max_length=_LONGEST_TEXT)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*")
    @classmethod
    def _can_be_stored(cls, value: object) -> object:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not hold a null character")
        return value


class Assignment(Section):
    """One participant's sitting. `trials` counts pool trials; practice, sentinels and instruction trials come on top.

    `same_sentinels`: JND with one pair per item: how many of the sentinels show an identical pair (half of them unless
    said), the others being clearly different. With two pairs every sentinel has one of each.
    """

    trials: int = Field(50, ge=1, le=1000)
    practice: int = Field(5, ge=0, le=100)
    sentinels: int = Field(10, ge=0, le=200)
    same_sentinels: int | None = Field(None, ge=0, le=200)
    sentinel_misses_allowed: int = Field(1, ge=0, le=200)
    instruction_trials: int = Field(0, ge=0, le=10)
    break_every: int = Field(50, ge=10, le=100)
    minutes: int = Field(8, ge=1, le=240)
    deadline_minutes: int = Field(24, ge=1, le=24 * 60)

    @model_validator(mode="after")
    def _deadline_leaves_time(self) -> Self:
        if self.deadline_minutes < self.minutes:
            raise ValueError("deadline_minutes must not be below minutes")
        if self.sentinels and self.sentinel_misses_allowed >= self.sentinels:
            raise ValueError("sentinel_misses_allowed must be below sentinels")
        return self

    @property
    def identical_sentinels(self) -> int:
        return self.sentinels // 2 if self.same_sentinels is None else self.same_sentinels


class Presentation(Section):
    """`scale` is CSS pixels per image pixel at the size shown; it is stored with every trial.

    The rest is about JND: each image is flashed for `stimulus_ms` with `gap_ms` of blank grey between two.
    `interleave`: two pairs are shown reference, reference, candidate, candidate; otherwise one pair after the other.
    """

    scale: float = Field(1.0, gt=0, le=4)
    stimulus_ms: int = Field(500, ge=SHORTEST_MS, le=10_000)
    gap_ms: int = Field(1000, ge=SHORTEST_MS, le=10_000)
    interleave: bool = True

    @model_validator(mode="after")
    def _flashes_are_safe(self) -> Self:
        if FLASHES_PER_SECOND * (self.stimulus_ms + self.gap_ms) < 1000:
            raise ValueError(
                f"stimulus_ms and gap_ms must add up to at least {math.ceil(1000 / FLASHES_PER_SECOND)}: more than "
                f"{FLASHES_PER_SECOND} flashes a second can cause seizures (WCAG 2.3.1)"
            )
        return self


class Screening(Section):
    """The smallest window (CSS pixels), whether touch screens may take part, and the slowest display (Hz)."""

    min_width: int = Field(360, ge=240, le=4000)
    min_height: int = Field(480, ge=240, le=4000)
    touch: bool = True
    min_refresh_hz: int = Field(0, ge=0, le=240)


class CheckQuestion(Section):
    """A question of the comprehension check; `answer` is the right one of its choices."""

    question: str = Field(min_length=1, max_length=500)
    choices: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(min_length=2, max_length=6)
    answer: str

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> Self:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("choices must differ")
        if self.answer not in self.choices:
            raise ValueError("answer must be one of the choices")
        return self


class Quality(Section):
    """What failed sentinels do: exclude the assignment's votes (reversibly) or propose it to the researcher. What
    missed instruction trials do to the pay: nothing, or a human looks before it is paid. And what is tolerated before
    a finding is proposed: see `quality_rules.QualityRules`."""

    failed_sentinels: Literal["exclude", "propose"] = "exclude"
    failed_instructions: Literal["pay", "review"] = "pay"
    false_alarm_share_allowed: Share = 0.4
    instruction_misses_allowed: int = Field(0, ge=0, le=200)
    side_bias_p: Share = 0.001
    fast_share: Share = 0.2
    slow_share: Share = 0.2
    repeated_share: Share = 0.5
    time_variation: float = Field(0.1, ge=0, le=10)
    agreement_kappa: float = Field(0.0, ge=-1, le=1)
    timing_flagged_share: Share = 0.2
    suspect_share: Share = 0.2
    same_device_p: Share = 0.001
    fewest_answers: int = Field(20, ge=0, le=10_000)


MOST_MONEY = 10**12
"""Of one amount, in minor units: ten billion pounds. A million of them still fit into a bigint."""


class Pay(Section):
    """Money in minor units of `currency`; `budget` is the hard cap, fees included."""

    currency: str = Field("GBP", pattern=r"^[A-Z]{3}$")
    reward: int = Field(120, ge=0, le=MOST_MONEY)
    hourly_floor: int = Field(900, ge=0, le=MOST_MONEY)
    budget: int = Field(50_000, ge=0, le=MOST_MONEY)

    @field_validator("reward", "hourly_floor", "budget", mode="before")
    @classmethod
    def _minor_units(cls, value: object) -> object:
        if isinstance(value, float):
            raise ValueError("must be whole minor units: 120, not 1.20, for £1.20")
        return value


class Recruiting(Section):
    """Where participants come from.

    A study of ours is one study at the recruiter that grows with the rounds, or one `per_round`; never more than
    `places_at_once` are open at a time. `description` is what people read there before they come. `invitations`: the
    direct link lets in single-use invitations only. `signed_links`: Prolific signs its links for this workspace.
    `excluded_group`: a participant group of Prolific's whose members may not take part.
    """

    recruiter: Literal["direct", "prolific", "mturk"] = "direct"
    description: str = Field("", max_length=2000)
    invitations: bool = False
    per_round: bool = False
    places_at_once: int = Field(20, ge=1, le=1000)
    signed_links: bool = False
    project: str = Field("", max_length=100)
    excluded_group: str = Field("", max_length=100)


class Brakes(Section):
    """When recruiting pauses by itself: so many sittings in a row fail, or such a share of the latest is returned, or
    of the latest trials could not be shown."""

    failures_in_a_row: int = Field(8, ge=2, le=1000)
    return_rate: float = Field(0.4, gt=0, le=1)
    error_rate: float = Field(0.1, gt=0, le=1)


class People(Section):
    """How long after the end of the study the recruiter's ids are kept."""

    retention_days: int = Field(90, ge=1, le=3650)


class Protocol(Section):
    """Raises pydantic.ValidationError on construction; `parse` and `preset` raise BadInput with every field named."""

    kind: Kind = "2afc"
    title: str = Field("Which image is more similar?", min_length=1, max_length=200)
    question: str = Field(
        "Which is more similar to the reference: the left or the right image?", min_length=1, max_length=200
    )
    language: str = Field("en", pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$")
    ethics: str = Field("", max_length=500)
    contact: str = Field("", max_length=500)
    consent: Text = ""
    instructions: Text = ""
    thanks: Text = ""
    rounds: int = Field(10, ge=1, le=100)
    votes_per_round: int = Field(1, ge=1, le=100)
    min_votes: int = Field(6, ge=1)
    drop: Drop = "dissent"
    assignment: Assignment = Assignment()
    presentation: Presentation = Presentation()
    screening: Screening = Screening()
    quality: Quality = Quality()
    pay: Pay = Pay()
    recruiting: Recruiting = Recruiting()
    brakes: Brakes = Brakes()
    people: People = People()
    check: list[CheckQuestion] = Field([], max_length=10)

    @model_validator(mode="after")
    def _jnd_has_no_filter(self) -> Self:
        if self.kind == "jnd":
            if self.drop != "none" or self.rounds != 1:
                raise ValueError('kind "jnd" needs drop = "none" and rounds = 1: every pair gets votes_per_round votes')
            if self.assignment.instruction_trials:
                raise ValueError('assignment.instruction_trials are for kind "2afc"')
            if self.assignment.identical_sentinels > self.assignment.sentinels:
                raise ValueError("assignment.same_sentinels must not be above assignment.sentinels")
        return self

    @model_validator(mode="after")
    def _recruiter_leaves_time(self) -> Self:
        minutes = self.assignment.minutes
        least = math.ceil(2 + 2 * minutes + 2 * math.sqrt(minutes))
        if self.recruiting.recruiter == "prolific" and self.assignment.deadline_minutes < least:
            raise ValueError(
                f"assignment.deadline_minutes must be at least {least}: Prolific gives people that long for "
                f"{counted(minutes, 'minute')} of work"
            )
        if self.recruiting.recruiter == "prolific" and self.pay.currency not in ("GBP", "USD"):
            raise ValueError("pay.currency must be GBP or USD: Prolific pays in no other")
        if self.recruiting.recruiter == "mturk" and self.pay.currency != "USD":
            raise ValueError("pay.currency must be USD: MTurk pays in no other")
        return self

    @model_validator(mode="after")
    def _min_votes_can_be_reached(self) -> Self:
        if self.min_votes > self.rounds * self.votes_per_round:
            raise ValueError(
                f"min_votes must be at most rounds × votes_per_round = {self.rounds * self.votes_per_round}"
            )
        return self

    @property
    def missing_texts(self) -> list[str]:
        """Which of the texts that nobody may begin without are empty."""
        return [name for name in ("consent", "instructions") if not getattr(self, name).strip()]

    @property
    def has_filter(self) -> bool:
        """Whether items are dropped at all."""
        return self.drop != "none"

    @property
    def rule(self) -> Rule:
        return Rule(self.rounds, self.votes_per_round, self.min_votes, self.drop)

    @property
    def quality_rules(self) -> QualityRules:
        return QualityRules(
            sentinel_misses_allowed=self.assignment.sentinel_misses_allowed,
            **self.quality.model_dump(exclude={"failed_sentinels", "failed_instructions"}),
        )


FROZEN_FIELDS = ("kind", "rounds", "votes_per_round", "min_votes", "drop", "presentation", "question")
"""What may not change after the first judgment: it decides what the votes mean."""

_TEXT_FIELDS = ("consent", "instructions", "thanks")


def preset_names() -> list[str]:
    return sorted(entry.name.removesuffix(".toml") for entry in _PRESETS.iterdir() if entry.name.endswith(".toml"))


def load(source: str, *, overrides: Mapping[str, str] | None = None) -> Protocol:
    """A protocol from a preset's name or a TOML file's path, with overrides such as {"assignment.trials": "20"}.

    Text files that the TOML names lie beside it; those that an override names, anywhere.

    Raises:
        BadInput: neither a preset nor a readable file, or a field is wrong (each one named).
    """
    with resources.as_file(_PRESETS) as presets:
        path = presets / f"{source}.toml" if source in preset_names() else Path(source)
        document = _read_toml(path)
        for field in _TEXT_FIELDS:
            if _is_file_name(name := document.get(field)):
                document[field] = _read_beside(path, name)
    for key, value in (overrides or {}).items():
        if key in _TEXT_FIELDS and _is_file_name(value):
            document[key] = _read_text(Path(value), f"--set {key}={value}")
        else:
            _override(document, key, value)
    return parse(document)


def parse(document: Mapping[str, Any]) -> Protocol:
    """A validated protocol.

    Raises:
        BadInput: one line per wrong field, naming it and what is allowed; `details["fields"]` has them one by one.
    """
    try:
        return Protocol.model_validate(document)
    except ValidationError as error:
        problems = [(_field(problem), _complaint(problem), _given(problem)) for problem in error.errors()]
        lines = [f"  {field}: {complaint}{given}" for field, complaint, given in problems]
        raise BadInput(
            "The protocol is not valid:\n" + "\n".join(lines),
            fields={field: complaint for field, complaint, _ in problems},
        ) from None


def merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the fields of `changes`, which is nested like it; what is no section is replaced whole."""
    result = dict(document)
    for name, value in changes.items():
        before = result.get(name)
        result[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def _field(problem: ErrorDetails) -> str:
    return ".".join(map(str, problem["loc"])) or "protocol"


def _complaint(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "extra_forbidden":
            return "there is no such field"
        case "model_type":
            return "must be a section"
        case _:
            return problem["msg"].removeprefix("Value error, ")


def _given(problem: ErrorDetails) -> str:
    given = problem["input"]
    if not isinstance(given, str | int | float | bool):
        return ""
    shown = repr(given)
    return f" (got {shown if len(shown) <= _LONGEST_QUOTE else shown[:_LONGEST_QUOTE] + '…'})"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError):
        raise BadInput(
            f"{path} is neither a protocol file nor a preset. Presets: {', '.join(preset_names())}."
        ) from None
    except (*_NOT_TOML, OSError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}") from None


def _is_file_name(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and text.endswith(".md") and "\n" not in text


def _read_beside(path: Path, name: str) -> str:
    target = (path.parent / name).resolve()
    if not target.is_relative_to(path.parent.resolve()):
        raise BadInput(f"{path}: the text file {name!r} lies outside the protocol's folder.")
    return _read_text(target, f"{path}: the text file {name!r}")


def _read_text(path: Path, called: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{called} cannot be read: it is not UTF-8 text.") from None
    except OSError as error:
        raise BadInput(f"{called} cannot be read: {error.strerror}.") from None


def _override(document: dict[str, Any], dotted: str, value: str) -> None:
    *parents, leaf = names = dotted.split(".")
    if not all(names):
        raise BadInput(f"--set takes KEY=VALUE, such as assignment.trials=20 (got {dotted + '=' + value!r}).")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise BadInput(f"--set {dotted}: {parent} is not a section.")
    section[leaf] = _value(value)


def _value(text: str) -> Any:
    """A TOML value, so that numbers are numbers; whatever is none is a string."""
    try:
        document = tomllib.loads(f"value = {text}")
    except _NOT_TOML:
        return text
    return document["value"] if len(document) == 1 else text
