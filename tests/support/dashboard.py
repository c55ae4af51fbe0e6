"""People at the dashboard, without a browser: signed in by the services, they send forms as its pages do."""

import secrets
from functools import cache
from typing import Any

import httpx
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from app.db import Sessions
from app.domain.roles import Role, Scope
from app.models.accounts import Account
from app.services import study_lookup
from app.services.accounts import accounts, api_tokens, login, members
from app.web.admin.access import COOKIE, form_key

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
PASSWORD = "a good long password"


def make_account(sessions: Sessions, *, is_site_owner: bool = False) -> str:
    """Returns the e-mail address."""
    email = f"{secrets.token_hex(6)}@example.org"
    with sessions.begin() as session:
        session.add(Account(email=email, name="", password_hash=_hashed(), is_site_owner=is_site_owner))
    return email


@cache
def _hashed() -> str:
    """Once: argon2 takes its time on purpose."""
    return PasswordHasher().hash(PASSWORD)


class Visitor:
    """Somebody with a browser of their own; without a token, nobody in particular."""

    def __init__(self, client: TestClient, token: str = "") -> None:
        self._client = TestClient(client.app, follow_redirects=False, headers=BROWSER)
        self.key = form_key(token)
        if token:
            self._client.cookies.set(COOKIE, token, path="/admin")

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self._client.get(url, **options)

    def post(self, url: str, fields: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        return self._client.post(url, data={"form_key": self.key} | (fields or {}), **options)

    def send(self, url: str, body: bytes) -> httpx.Response:
        """A form as these very bytes."""
        return self._client.post(url, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})


def sign_in(client: TestClient, sessions: Sessions, email: str) -> Visitor:
    with sessions.begin() as session:
        token, _ = login.start(session, account=accounts.by_email(session, email))
    return Visitor(client, token)


def make_member(sessions: Sessions, slug: str, role: Role | None, *, is_site_owner: bool = False) -> str:
    """Somebody new with this role in the study, or with none; returns the e-mail address."""
    email = make_account(sessions, is_site_owner=is_site_owner)
    if role is not None:
        with sessions.begin() as session:
            account = accounts.by_email(session, email)
            members.join(session, study=study_lookup.by_slug(session, slug), account=account, role=role)
    return email


def visitor_as(client: TestClient, sessions: Sessions, slug: str, role: Role | None) -> Visitor:
    return sign_in(client, sessions, make_member(sessions, slug, role))


def key_of(
    sessions: Sessions, slug: str, role: Role | None, *, scope: Scope = "steer", is_site_owner: bool = False
) -> dict[str, str]:
    """The header with an API token of somebody new."""
    email = make_member(sessions, slug, role, is_site_owner=is_site_owner)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        return {"Authorization": f"Bearer {api_tokens.make(session, account=account, name='test', scope=scope)}"}


def page_of(response: httpx.Response) -> Any:
    """The page context that a template was rendered with."""
    return response.context["page"]  # type: ignore[attr-defined]  # Starlette's test client adds it
