"""Before something that matters: a page that says what follows, asks for what is needed, and only then does it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.web.admin.pages import FormPage, StudyHead


@dataclass(frozen=True)
class Asked:
    """A field to fill in; `choices` make it a choice."""

    name: str
    label: str
    hint: str = ""
    kind: Literal["line", "text", "number", "choice"] = "line"
    choices: Mapping[str, str] | None = None


@dataclass(frozen=True)
class AskPage(FormPage):
    """`consequences` are sentences; `action` is where the form goes, `back` where one gets without it. `kept` are
    values that are sent along unseen."""

    template = "admin/ask.html"
    head: StudyHead
    question: str
    consequences: Sequence[str]
    fields: Sequence[Asked]
    action: str
    submit: str
    back: str
    is_grave: bool = False
    kept: Mapping[str, str] | None = None
