"""The protocol as a form: its fields come from the model, so that the form always has all of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.domain import protocol as protocols
from app.domain.protocol import CheckQuestion, Protocol

Kind = Literal["line", "text", "number", "choice", "flag"]

GROUPS = {
    "filter": "The filter",
    "assignment": "A sitting",
    "pay": "Pay",
    "": "Participant-facing texts",
    "presentation": "Presentation",
    "screening": "Who can take part",
    "quality": "Findings",
    "recruiting": "Where participants come from",
    "brakes": "When recruiting pauses by itself",
    "people": "What is kept about people",
}
_FILTER = ("rounds", "votes_per_round", "min_votes", "drop")
_LONG = ("consent", "instructions", "thanks", "check", "recruiting.description")
_ONLY_IN: dict[str, protocols.Kind] = {
    "assignment.instruction_trials": "2afc", "quality.failed_instructions": "2afc",
    "quality.instruction_misses_allowed": "2afc", "quality.side_bias_p": "2afc",
    "assignment.same_sentinels": "jnd", "presentation.stimulus_ms": "jnd", "presentation.gap_ms": "jnd",
    "presentation.interleave": "jnd", "quality.false_alarm_share_allowed": "jnd",
}  # fmt: skip
"""What means nothing in studies of the other kind, whose form does not ask for it."""
_RIGHT, _WRONG = "*", "-"
"""Before the choices of a question of the comprehension check: the right one, and the others."""
LABELS = {
    "title": "Title", "question": "Question", "consent": "Consent", "instructions": "Instructions",
    "thanks": "Thanks", "check": "Comprehension check", "language": "Language",
    "ethics": "Ethics board's reference", "contact": "Contact", "rounds": "Rounds",
    "votes_per_round": "Votes per item and round", "min_votes": "Votes an item needs to be kept",
    "drop": "An item is dropped", "assignment.trials": "Trials", "assignment.practice": "Practice trials",
    "assignment.sentinels": "Sentinels", "assignment.same_sentinels": "Identical sentinels",
    "assignment.sentinel_misses_allowed": "Sentinels one may miss",
    "assignment.instruction_trials": "Instruction trials", "assignment.break_every": "Trials until a break",
    "assignment.minutes": "Minutes it takes", "assignment.deadline_minutes": "Minutes until it expires",
    "presentation.scale": "Scale", "presentation.stimulus_ms": "Flash", "presentation.gap_ms": "Gap between flashes",
    "presentation.interleave": "Interleave two pairs", "screening.min_width": "Minimum window width",
    "screening.min_height": "Minimum window height",
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
    "pay.budget": "Budget", "recruiting.recruiter": "Recruiter", "recruiting.description": "Description there",
    "recruiting.invitations": "By invitation only", "recruiting.per_round": "A study there for every round",
    "recruiting.places_at_once": "Places open at a time", "recruiting.signed_links": "Signed links",
    "recruiting.project": "Project there", "recruiting.excluded_group": "Excluded group",
    "brakes.failures_in_a_row": "Failed sittings in a row", "brakes.return_rate": "Returned sittings",
    "brakes.error_rate": "Trials that fail to show", "people.retention_days": "Days ids are kept",
}  # fmt: skip
HINTS = {
    "title": "The heading of the page where people agree to take part.",
    "question": "Stands above every trial.",
    "contact": "Shown with the consent and the instructions.",
    "language": "The language of your texts, such as en or pt-BR.",
    "consent": "Markdown. What people agree to.",
    "instructions": "Markdown. What they are to do.",
    "thanks": "Markdown. Shown with the completion code.",
    "check": "A question, then a choice a line: “* ” before the right one, “- ” before the others. Then an empty line "
    "and the next question. Who fails twice may not take part.",
    "ethics": "Shown with the consent.",
    "drop": "What becomes of an item about which people disagree.",
    "rounds": "Passes of the filter: every surviving item gets its next votes.",
    "votes_per_round": "By different people.",
    "min_votes": "All of them agreeing, unless nothing is dropped.",
    "recruiting.recruiter": "MTurk itself is closed: nobody can be recruited there any more.",
    "assignment.trials": "From the pool; practice and sentinels come on top.",
    "assignment.practice": "With feedback, before a person's first sitting.",
    "assignment.sentinels": "Trials whose answer is known, at random positions.",
    "assignment.same_sentinels": "One pair an item: of the sentinels. Half of them if empty.",
    "assignment.instruction_trials": "Trials that say what to choose.",
    "assignment.sentinel_misses_allowed": "Whoever misses more has failed.",
    "assignment.minutes": "What people are told, and what the pay for an hour is reckoned by.",
    "assignment.break_every": "After so many trials a pause is offered.",
    "assignment.deadline_minutes": "So long the trials are kept for one person.",
    "screening.min_width": "In CSS pixels.",
    "screening.min_height": "In CSS pixels.",
    "screening.touch": "Without it, phones and tablets are turned away.",
    "screening.min_refresh_hz": "In Hz; 0 for any.",
    "presentation.scale": "CSS pixels per image pixel.",
    "presentation.stimulus_ms": "In milliseconds.",
    "presentation.gap_ms": "Milliseconds of grey. At most three flashes a second.",
    "presentation.interleave": "Reference, reference, candidate, candidate.",
    "quality.failed_sentinels": "Either way people are paid, and it can be undone.",
    "quality.failed_instructions": "Whether a human looks before a sitting is paid that missed too many.",
    "quality.false_alarm_share_allowed": "The share tolerated; one always is.",
    "quality.instruction_misses_allowed": "Found above so many missed instruction trials.",
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
    "pay.currency": "Three letters, such as GBP.",
    "pay.reward": "In the currency’s smallest unit, such as pence or yen.",
    "pay.hourly_floor": "In the smallest unit. You are warned below it.",
    "pay.budget": "In the smallest unit, fees included. Never more is spent.",
    "recruiting.description": "What people read at the recruiter before they come.",
    "recruiting.invitations": "The direct link lets in single-use invitations only: lookalike recruit invite.",
    "recruiting.per_round": "Otherwise one study there grows with the rounds.",
    "recruiting.places_at_once": "Never more are offered, or paid for, at once.",
    "recruiting.signed_links": "Prolific signs its links for your workspace.",
    "recruiting.project": "Prolific: the project’s id; empty for the workspace’s first.",
    "recruiting.excluded_group": "Prolific: a participant group whose members may not take part.",
    "brakes.failures_in_a_row": "So many that fail their sentinels.",
    "brakes.return_rate": "The share of the latest sittings given back.",
    "brakes.error_rate": "The share of the latest trials.",
    "people.retention_days": "After the end of the study; then the recruiter’s ids are deleted.",
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
    """`name` is the dotted path in the protocol; `least` and `most` bound a number; a fixed field shows its value."""

    name: str
    label: str
    kind: Kind
    hint: str = ""
    choices: Mapping[str, str] | None = None
    least: float | None = None
    most: float | None = None
    step: str = "1"
    is_fixed: bool = False


@dataclass(frozen=True)
class FormGroup:
    title: str
    fields: list[FormField]


def form_groups(kind: protocols.Kind, fixed: Sequence[str] = ()) -> list[FormGroup]:
    """The fields of such a protocol in groups; a section is a group, and so are the four fields of the filter.

    `fixed` are the fields and sections that can no longer be changed.
    """
    groups: dict[str, list[FormField]] = {name: [] for name in GROUPS}
    for name, info in _leaves(Protocol):
        if _is_asked(name, kind):
            section = name.rpartition(".")[0] or ("filter" if name in _FILTER else "")
            groups[section].append(replace(_field(name, info), is_fixed=is_one_of(name, fixed)))
    return [FormGroup(GROUPS[name], fields) for name, fields in groups.items()]


def is_one_of(name: str, fields: Sequence[str]) -> bool:
    """Whether the dotted name is one of these fields, or in one of these sections."""
    return name.split(".")[0] in fields


def _is_asked(name: str, kind: protocols.Kind) -> bool:
    """The kind itself is the preset's."""
    return name != "kind" and _ONLY_IN.get(name, kind) == kind


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def _field(name: str, info: FieldInfo) -> FormField:
    label, hint = LABELS[name], HINTS[name]
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
    names = (name for name, _ in _leaves(Protocol) if _is_asked(name, protocol.kind))
    return {name: _written(_value(protocol, name)) for name in names}


def _value(protocol: Protocol, name: str) -> object:
    value: object = protocol
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    if isinstance(value, list):
        return "\n\n".join(map(_question, value))
    return "" if value is None else str(value)


def _question(question: CheckQuestion) -> str:
    choices = [f"{_RIGHT if choice == question.answer else _WRONG} {choice}" for choice in question.choices]
    return "\n".join([question.question, *choices])


def document_of(form: Mapping[str, str], base: Protocol) -> dict[str, Any]:
    """What `protocol.parse` is to judge: numbers where numbers were typed, and everything else as it stands. What the
    form does not ask for is that of `base`."""
    document: dict[str, Any] = {}
    for name, info in _leaves(Protocol):
        *parents, leaf = name.split(".")
        section = document
        for parent in parents:
            section = section.setdefault(parent, {})
        section[leaf] = _typed(form.get(name, ""), info) if _is_asked(name, base.kind) else _value(base, name)
    return document


def _typed(text: str, info: FieldInfo) -> object:
    if info.annotation is bool:
        return text != ""
    if info.annotation == list[CheckQuestion]:
        return [_typed_question(block) for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")) if block.strip()]
    if info.annotation == int | None and not text.strip():
        return None
    if _is_number(info):
        try:
            return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
        except ValueError:
            return text
    return text.replace("\r\n", "\n")


def _typed_question(block: str) -> dict[str, Any]:
    """A question with its choices; without one marked as right, it has no answer."""
    lines = [line.strip() for line in block.strip().splitlines()]
    choices = [(line[0], line[1:].strip()) for line in lines if line.startswith((_RIGHT, _WRONG))]
    right = [choice for mark, choice in choices if mark == _RIGHT]
    return {
        "question": " ".join(line for line in lines if not line.startswith((_RIGHT, _WRONG))),
        "choices": [choice for _, choice in choices],
        "answer": right[0] if len(right) == 1 else "",
    }
