"""The protocol as a form: its fields come from the model, so that the form always has all of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.domain.protocol import Protocol

Kind = Literal["line", "text", "number", "choice", "flag"]

GROUPS = {
    "filter": "The filter",
    "assignment": "A sitting",
    "pay": "Pay",
    "": "What people see",
    "presentation": "Presentation",
    "screening": "Who can take part",
    "quality": "What is found odd",
}
_FILTER = ("rounds", "votes_per_round", "min_votes", "drop")
_LONG = ("consent", "instructions", "thanks")
_HIDDEN = ("kind", "check")
"""What the preset decides: the kind, and a comprehension check, which is a list of questions."""
LABELS = {
    "language": "Language", "ethics": "Ethics board's reference", "contact": "Whom to write to", "rounds": "Rounds",
    "votes_per_round": "Votes per item and round", "min_votes": "Votes an item needs to be kept",
    "drop": "An item is dropped", "assignment.trials": "Trials", "assignment.practice": "Practice trials",
    "assignment.sentinels": "Sentinels", "assignment.same_sentinels": "Identical sentinels",
    "assignment.sentinel_misses_allowed": "Sentinels one may miss",
    "assignment.instruction_trials": "Instruction trials", "assignment.break_every": "Trials until a break",
    "assignment.minutes": "Minutes it takes", "assignment.deadline_minutes": "Minutes until it expires",
    "presentation.scale": "Scale", "presentation.stimulus_ms": "Flash", "presentation.gap_ms": "Gap between flashes",
    "presentation.interleave": "Interleave two pairs", "screening.min_width": "Narrowest window",
    "screening.min_height": "Lowest window",
    "screening.touch": "Touch screens may take part", "screening.min_refresh_hz": "Slowest display",
    "quality.failed_sentinels": "When sentinels fail",
    "quality.failed_instructions": "When instructions are missed",
    "quality.false_alarm_share_allowed": "Identical sentinels called different",
    "quality.instruction_misses_allowed": "Instructions one may miss", "quality.side_bias_p": "Side bias",
    "quality.fast_share": "Fast answers", "quality.slow_share": "Slow answers",
    "quality.repeated_share": "Repeated response times", "quality.time_variation": "Spread of response times",
    "quality.agreement_kappa": "Agreement with others", "quality.timing_flagged_share": "Flagged timing",
    "quality.suspect_share": "Suspect records", "quality.same_device_p": "Same device at once",
    "quality.fewest_answers": "Answers to judge by",
    "pay.currency": "Currency", "pay.reward": "Reward for a sitting", "pay.hourly_floor": "Least pay for an hour",
    "pay.budget": "Budget",
}  # fmt: skip
HINTS = {
    "title": "The heading of the page where people agree to take part.",
    "question": "Stands above every trial.",
    "contact": "Shown with the consent and the instructions.",
    "language": "The language of your texts, such as en or pt-BR.",
    "consent": "Markdown. What people agree to.",
    "instructions": "Markdown. What they are to do.",
    "thanks": "Markdown. Shown with the completion code.",
    "rounds": "Passes of the filter: every surviving item gets its next votes.",
    "votes_per_round": "By different people.",
    "min_votes": "All of them agreeing, unless nothing is dropped.",
    "recruiting.recruiter": "MTurk itself is closed: nobody can be recruited there any more.",
    "assignment.trials": "From the pool; practice and sentinels come on top.",
    "assignment.practice": "With feedback, before a person's first sitting.",
    "assignment.sentinels": "Trials whose answer is known, at random positions.",
    "assignment.same_sentinels": "Same or different, one pair an item: of the sentinels. Half of them if empty.",
    "assignment.instruction_trials": "Which image is more similar: trials that say what to choose.",
    "assignment.break_every": "After so many trials a pause is offered.",
    "assignment.deadline_minutes": "So long the trials are kept for one person.",
    "screening.min_width": "In CSS pixels.",
    "screening.min_height": "In CSS pixels.",
    "screening.min_refresh_hz": "In Hz; 0 for any.",
    "presentation.scale": "CSS pixels per image pixel.",
    "presentation.stimulus_ms": "Same or different: milliseconds.",
    "presentation.gap_ms": "Same or different: milliseconds of grey. At most three flashes a second.",
    "presentation.interleave": "Same or different: reference, reference, candidate, candidate.",
    "quality.failed_sentinels": "Either way people are paid, and it can be undone.",
    "quality.false_alarm_share_allowed": "Same or different: the share tolerated; one always is.",
    "quality.side_bias_p": "Found below this probability of answers so uneven.",
    "quality.fast_share": "Found above this share of answers in under 200 ms.",
    "quality.slow_share": "Found above this share of unusually long answers.",
    "quality.repeated_share": "Found above this share of one time, to the millisecond.",
    "quality.time_variation": "Found below this share of their median.",
    "quality.agreement_kappa": "Found at or below this kappa.",
    "quality.timing_flagged_share": "Found above this share of trials that the page itself flagged.",
    "quality.suspect_share": "Found above this share of records that cannot be true.",
    "quality.same_device_p": "Found below this probability of so many people on a device alike.",
    "quality.fewest_answers": "Times, agreement and records are judged from so many answers on.",
    "pay.reward": "In minor units, such as pence.",
    "pay.hourly_floor": "In minor units. You are warned below it.",
    "pay.budget": "In minor units, fees included.",
}
CHOICES = {
    "dissent": "at its first dissenting vote", "round_end": "at the end of the round with a dissent",
    "none": "never: collect vote shares", "exclude": "leave the sitting's votes out",
    "pay": "pay all the same", "review": "let me review before they are paid",
    "propose": "propose it, and let me decide", "direct": "by a direct link", "prolific": "on Prolific",
    "mturk": "on a service like MTurk (Amazon closed MTurk on 30 September 2026)",
}  # fmt: skip


@dataclass(frozen=True)
class FormField:
    """`name` is the dotted path in the protocol; `least` and `most` bound a number."""

    name: str
    label: str
    kind: Kind
    hint: str = ""
    choices: Mapping[str, str] | None = None
    least: float | None = None
    most: float | None = None
    step: str = "1"


@dataclass(frozen=True)
class FormGroup:
    title: str
    fields: list[FormField]


def form_groups() -> list[FormGroup]:
    """The protocol's fields in groups; a section is a group, and so are the four fields of the filter."""
    groups: dict[str, list[FormField]] = {name: [] for name in GROUPS}
    for name, info in _leaves(Protocol):
        section = name.rpartition(".")[0] or ("filter" if name in _FILTER else "")
        groups.setdefault(section, []).append(_field(name, info))
    return [FormGroup(GROUPS.get(name, name.capitalize()), fields) for name, fields in groups.items() if fields]


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{prefix}{name}.")
        elif prefix + name not in _HIDDEN:
            yield prefix + name, info


def _field(name: str, info: FieldInfo) -> FormField:
    label = LABELS.get(name, name.rpartition(".")[2].replace("_", " ").capitalize())
    hint = HINTS.get(name, "")
    if info.annotation is bool:
        return FormField(name, label, "flag", hint)
    if get_origin(info.annotation) is Literal:
        return FormField(
            name, label, "choice", hint, {each: CHOICES.get(each, each) for each in get_args(info.annotation)}
        )
    if _is_number(info):
        step = "any" if info.annotation is float else "1"
        return FormField(name, label, "number", hint, least=_bound(info, Ge, Gt), most=_bound(info, Le), step=step)
    return FormField(name, label, "text" if name in _LONG else "line", hint)


def _is_number(info: FieldInfo) -> bool:
    return info.annotation in (int, float, int | None)


def _bound(info: FieldInfo, *kinds: type) -> float | None:
    for constraint in info.metadata:
        if isinstance(constraint, kinds):
            return float(getattr(constraint, type(constraint).__name__.lower()))
    return None


def values_of(protocol: Protocol) -> dict[str, str]:
    """The protocol as the form's fields hold it."""
    values = {}
    for name, _ in _leaves(Protocol):
        value: Any = protocol
        for part in name.split("."):
            value = getattr(value, part)
        values[name] = _written(value)
    return values


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return "" if value is None else str(value)


def document_of(form: Mapping[str, str], preset: Protocol) -> dict[str, Any]:
    """What `protocol.parse` is to judge: numbers where numbers were typed, and everything else as it stands."""
    document: dict[str, Any] = {name: getattr(preset, name) for name in _HIDDEN}
    for name, info in _leaves(Protocol):
        *parents, leaf = name.split(".")
        section = document
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = _typed(form.get(name, ""), info)
    return document


def _typed(text: str, info: FieldInfo) -> object:
    if info.annotation is bool:
        return text != ""
    if info.annotation == int | None and not text.strip():
        return None
    if _is_number(info):
        try:
            return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
        except ValueError:
            return text
    return text.replace("\r\n", "\n")
