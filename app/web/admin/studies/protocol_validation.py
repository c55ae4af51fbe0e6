"""A protocol's form as somebody filled it in: what it comes to, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import protocol as protocols
from app.domain.forecast import Forecast, forecast
from app.domain.money import in_words
from app.domain.protocol import Kind, Protocol
from app.domain.sentinel_strength import weakness
from app.errors import BadInput
from app.web.admin.studies.protocol_form import document_of, form_groups


@dataclass(frozen=True)
class Outlook:
    """What the protocol as typed will take; `protocol` is None while it is not valid."""

    protocol: Protocol | None
    expected: Forecast | None

    @property
    def hourly(self) -> float:
        """Reward in minor units per hour, if the sitting takes as long as expected."""
        assert self.protocol is not None
        return self.protocol.pay.reward * 60 / self.protocol.assignment.minutes

    @property
    def is_below_floor(self) -> bool:
        return self.protocol is not None and self.hourly < self.protocol.pay.hourly_floor

    @property
    def is_over_budget(self) -> bool:
        return (
            self.protocol is not None
            and self.expected is not None
            and self.expected.total.cost.mean > self.protocol.pay.budget
        )

    @property
    def weak_sentinels(self) -> str | None:
        """Whom the sentinels let through, if that is too many."""
        return weakness(self.protocol) if self.protocol else None

    def money(self, minor_units: float) -> str:
        assert self.protocol is not None
        return in_words(minor_units, self.protocol.pay.currency)


@dataclass(frozen=True)
class Judged:
    """`problems` are by field; `""` is the form as a whole."""

    values: dict[str, str]
    problems: dict[str, str]
    outlook: Outlook


def judge(form: Mapping[str, str], *, base: Protocol, items: int, problems: Mapping[str, str]) -> Judged:
    """The form on top of `base`, which has what the form does not ask for; with the problems known already."""
    protocol, found = None, dict(problems)
    try:
        protocol = protocols.parse(document_of(form, base))
    except BadInput as error:
        found |= by_form_field(error.details["fields"], base.kind)
    return Judged(dict(form), found, Outlook(protocol, forecast(protocol, items=items) if protocol and items else None))


def by_form_field(problems: Mapping[str, str], kind: Kind) -> dict[str, str]:
    """Complaints about a part of a field stand with the field, those about a section as a whole at the form's head."""
    names = {field.name for group in form_groups(kind) for field in group.fields}
    placed: dict[str, str] = {}
    for name, problem in problems.items():
        place = name if name in names else name.split(".")[0]
        if place in names:
            placed.setdefault(place, problem if place == name else _of_part(name, problem))
        else:
            placed[""] = f"{placed.get('', '')} {problem[:1].upper()}{problem[1:]}.".strip()
    return placed


def _of_part(name: str, problem: str) -> str:
    """A complaint about a question of the comprehension check, which people count from 1."""
    _, number, *part = name.split(".")
    return f"Question {int(number) + 1}: {' '.join([*part, problem])}"
