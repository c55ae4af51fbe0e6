"""The dashboard's pages: one typed context each, all within one frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.domain.roles import SCOPES, Role, Scope, suffices
from app.models.accounts import ApiToken
from app.services import study_lookup
from app.services.accounts import api_tokens, login
from app.services.accounts.login import SignedIn
from app.web.admin.access import StudyAccess, cookie_token, form_key
from app.web.pages import Page, templates


@dataclass(frozen=True)
class Frame:
    """What surrounds every page of the dashboard. `form_key` goes into every form."""

    form_key: str
    name: str | None = None
    notice: str | None = None
    is_site_owner: bool = False


@dataclass(frozen=True)
class Tab:
    name: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class StudyHead:
    """The head of every page of one study. `may_steer` and `may_own` say what the viewer's role allows, `may_change`
    whether the study can be changed besides: an archived one cannot."""

    slug: str
    title: str
    status: str
    is_archived: bool
    role: Role
    tabs: Sequence[Tab]

    @property
    def url(self) -> str:
        return f"/admin/studies/{self.slug}"

    @property
    def may_steer(self) -> bool:
        return suffices(self.role, "researcher")

    @property
    def may_change(self) -> bool:
        return self.may_steer and not self.is_archived

    @property
    def may_own(self) -> bool:
        return suffices(self.role, "owner")


@dataclass(frozen=True)
class AdminPage(Page):
    frame: Frame


@dataclass(frozen=True)
class StudyPage(AdminPage):
    head: StudyHead


@dataclass(frozen=True)
class FormPage(AdminPage):
    """A page with a form: what was typed, and what is wrong with it, by field; `""` is the form as a whole."""

    values: dict[str, str] = field(default_factory=dict, kw_only=True)
    problems: dict[str, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class SignInPage(FormPage):
    template = "admin/sign_in.html"
    then: str


@dataclass(frozen=True)
class CodePage(FormPage):
    template = "admin/code.html"
    email: str
    then: str


@dataclass(frozen=True)
class InvitationPage(FormPage):
    """`is_known` says that the address has an account already, which is to sign in and come back."""

    template = "admin/invitation.html"
    slug: str
    email: str
    role: str
    is_known: bool
    is_signed_in: bool
    url: str


@dataclass(frozen=True)
class AccountPage(FormPage):
    """`totp` is a proposed second factor: its QR code as a data address, and its secret in writing.
    `new_token` is an API token just made: it is shown once."""

    template = "admin/account.html"
    email: str
    has_totp: bool
    totp: tuple[str, str] | None
    tokens: Sequence[ApiToken]
    new_token: str | None
    scopes: tuple[Scope, ...] = SCOPES
    lasts: tuple[int, ...] = api_tokens.LASTS


TABS = (("Overview", ""), ("Items", "/items"), ("Assignments", "/assignments"), ("Data", "/data"),
        ("Report", "/report"), ("Protocol", "/protocol"), ("People", "/people"), ("Log", "/log"))  # fmt: skip


def frame_of(request: Request, signed_in: SignedIn | None = None) -> Frame:
    key = form_key(cookie_token(request))
    if signed_in is None:
        return Frame(key)
    account = signed_in.account
    notice = login.take_notice(signed_in.sign_in)
    return Frame(key, name=account.name, notice=notice, is_site_owner=account.is_site_owner)


def head_of(access: StudyAccess, *, title: str, current: str) -> StudyHead:
    study = access.study
    tabs = [Tab(name, f"/admin/studies/{study.slug}{path}", name == current) for name, path in TABS]
    return StudyHead(
        study.slug, title, study_lookup.status_word(study), study.archived_at is not None, access.role, tabs
    )


def show(request: Request, page: AdminPage, *, status: int = 200) -> HTMLResponse:
    return templates.TemplateResponse(request, page.template, {"page": page}, status_code=status)


@dataclass(frozen=True)
class Fragment:
    """A part of a page that is fetched by itself."""

    template: ClassVar[str]


def go(url: str, signed_in: SignedIn | None = None, notice: str | None = None) -> Response:
    """Back to a page after a change, which tells the notice."""
    if signed_in is not None:
        signed_in.sign_in.notice = notice
    return RedirectResponse(url, status_code=303)
