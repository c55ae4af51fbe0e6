"""The participant's pages: one typed context each."""

from dataclasses import dataclass, field
from typing import ClassVar

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from app.paths import TEMPLATES

templates = Jinja2Templates(directory=TEMPLATES)


@dataclass(frozen=True)
class Page:
    template: ClassVar[str]
    title: str
    language: str = field(default="en", kw_only=True)


@dataclass(frozen=True)
class ConsentPage(Page):
    """Consent and instructions. `fields` are the recruiter's, handed on by the form."""

    template = "participant/consent.html"
    slug: str
    consent: Markup
    instructions: Markup
    ethics: str
    minutes: int
    trials: int
    fields: dict[str, str]


@dataclass(frozen=True)
class TrialsPage(Page):
    """Practice, trials and thank-you of one assignment; the script fetches the trials themselves."""

    template = "participant/trials.html"
    token: str
    question: str
    instructions: Markup
    thanks: Markup


@dataclass(frozen=True)
class ThanksPage(Page):
    """`ending` says where to go from here: nowhere (thanks), or back to the recruiter."""

    template = "participant/thanks.html"
    thanks: Markup
    completion_code: str


@dataclass(frozen=True)
class MessagePage(Page):
    """One thing to say: an error, or that there is nothing to do."""

    template = "participant/message.html"
    message: str


def render(request: Request, page: Page, *, status: int = 200) -> HTMLResponse:
    """The page; the context is exactly the dataclass, under its own name."""
    return templates.TemplateResponse(request, page.template, {"page": page}, status_code=status)
