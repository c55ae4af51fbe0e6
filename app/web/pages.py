"""The participant's pages: one typed context each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, Literal

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from app.domain.counted import counted
from app.domain.protocol import CheckQuestion, Kind, Screening
from app.paths import STATIC, TEMPLATES
from app.recruiters.recruiter import Ending
from app.web.assets import static

templates = Jinja2Templates(directory=TEMPLATES)
templates.env.globals["static"] = static
templates.env.filters["counted"] = counted


@dataclass(frozen=True)
class Page:
    template: ClassVar[str]
    title: str
    language: str = field(default="en", kw_only=True)


@dataclass(frozen=True)
class ConsentPage(Page):
    """Consent and instructions. `fields` are the recruiter's, handed on by the form; the script looks whether the
    device meets `screening`; `declined` is where the recruiter wants to hear of a no; `preview` says to
    whoever only looks at it how to take part."""

    template = "participant/consent.html"
    slug: str
    consent: Markup
    instructions: Markup
    ethics: str
    contact: str
    minutes: int
    trials: int
    screening: Screening
    fields: dict[str, str]
    declined: str | None
    preview: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class TrialsPage(Page):
    """Comprehension check (unless passed), practice, trials and thank-you of one assignment; the script fetches the
    trials themselves, the first `practice` of which are practice."""

    template = "participant/trials.html"
    token: str
    kind: Kind
    question: str
    instructions: Markup
    contact: str
    thanks: Markup
    check: Sequence[CheckQuestion]
    screening: Screening
    break_every: int
    practice: int
    ending: None

    @property
    def modules(self) -> list[str]:
        """The scripts, so that the browser fetches them side by side and not one import after the other."""
        return _trial_modules()


@cache
def _trial_modules() -> list[str]:
    shared = ("browser_support.js", "completion_code.js", "screening.js")
    scripts = [*(STATIC / "js" / "trials").glob("*.js"), *(STATIC / "js" / name for name in shared)]
    return sorted(path.relative_to(STATIC).as_posix() for path in scripts)


@dataclass(frozen=True)
class ThanksPage(Page):
    """`ending` leads back to the recruiter, where there is one."""

    template = "participant/thanks.html"
    thanks: Markup
    completion_code: str
    ending: Ending


@dataclass(frozen=True)
class Retry:
    """The request that may succeed a little later, so that one click repeats it as it was."""

    method: Literal["get", "post"]
    action: str
    fields: dict[str, str]


@dataclass(frozen=True)
class MessagePage(Page):
    """One thing to say: an error, or that there is nothing to do. Written by us, so in our language. `onward` leads
    back to the recruiter, `back` to the dashboard, where it is said there."""

    template = "participant/message.html"
    message: str
    retry: Retry | None = None
    onward: str | None = None
    back: str | None = None


def render(request: Request, page: Page, *, status: int = 200) -> HTMLResponse:
    """The page; the context is exactly the dataclass, under its own name."""
    return templates.TemplateResponse(request, page.template, {"page": page}, status_code=status)
