"""Guessing passwords and codes: slow for whoever guesses, and no obstacle to whom the account belongs to."""

from collections.abc import Iterator

import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from app.db import Sessions
from app.keys import Keys
from app.main import create_app
from app.services.accounts import accounts, api_tokens
from app.services.accounts.rate_limit import ACCOUNT, Attempts, Visitor
from app.settings import Settings
from app.web.admin.access import COOKIE, KNOWN_BROWSER, form_key
from tests.support.dashboard import BROWSER, PASSWORD, make_account, page_of, sign_in


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of guesses, each of which would take argon2 its time."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("app.services.accounts.accounts._hasher", hasher)
    monkeypatch.setattr("app.services.accounts.accounts._nobodys_hash", lambda: hasher.hash("nobody"))
    monkeypatch.setattr("tests.support.dashboard._hashed", lambda: hasher.hash(PASSWORD))


@pytest.fixture
def app(settings: Settings) -> Iterator[TestClient]:
    """A server of its own: nobody has tried anything yet."""
    with TestClient(create_app(settings), follow_redirects=False) as client:
        yield client


class Person:
    """Somebody with a browser of their own, at an address of their own."""

    def __init__(self, app: TestClient, address: str) -> None:
        self.browser = TestClient(app.app, client=(address, 1), follow_redirects=False, headers=BROWSER)

    def try_password(self, email: str, password: str) -> httpx.Response:
        return self._post("/admin/sign-in", email=email, password=password)

    def try_code(self, code: str) -> httpx.Response:
        return self._post("/admin/sign-in/code", code=code)

    def sign_out(self) -> None:
        assert self._post("/admin/sign-out").status_code == 303

    def _post(self, url: str, **fields: str) -> httpx.Response:
        key = form_key(self.browser.cookies.get(COOKIE, ""))
        return self.browser.post(url, data={"form_key": key} | fields)


def test_strangers_lock_nobody_out(app: TestClient, sessions: Sessions) -> None:
    """Sixty failures from twelve addresses."""
    email = make_account(sessions)
    strangers = [Person(app, f"192.0.2.{number}") for number in range(12)]
    failed = [stranger.try_password(email, "a guess").status_code for stranger in strangers for _ in range(5)]
    assert failed == [422] * 60
    assert Person(app, "198.51.100.1").try_password(email, PASSWORD).status_code == 303


def test_a_known_browser_is_let_in_whatever_others_do(app: TestClient, sessions: Sessions) -> None:
    """Also from an address that has used up every attempt, and to an account that a crowd guesses at."""
    email = make_account(sessions)
    owner = Person(app, "192.0.2.1")
    assert owner.try_password(email, PASSWORD).status_code == 303
    owner.sign_out()
    neighbour = Person(app, "192.0.2.1")
    tries = [neighbour.try_password(email, "a guess").status_code for _ in range(6)]
    assert tries == [422] * 5 + [429]
    attempts: Attempts = app.app.state.resources.attempts  # type: ignore[attr-defined]
    for number in range(ACCOUNT.amount - 6):
        attempts.count_password(Visitor(f"crowd {number}", None), email=email)
    assert Person(app, "203.0.113.9").try_password(email, PASSWORD).status_code == 429
    assert owner.try_password(email, PASSWORD).status_code == 303


def test_a_known_browser_has_few_guesses_too(app: TestClient, sessions: Sessions) -> None:
    email, other = make_account(sessions), make_account(sessions)
    stolen = Person(app, "192.0.2.1")
    stolen.try_password(email, PASSWORD)
    stolen.sign_out()
    assert [stolen.try_password(email, "a guess").status_code for _ in range(11)] == [422] * 10 + [429]
    assert stolen.try_password(email, PASSWORD).status_code == 429
    # It knows one account: at another it is a stranger.
    assert [stolen.try_password(other, "a guess").status_code for _ in range(6)] == [422] * 5 + [429]


@pytest.mark.parametrize("kept", ["", "nonsense", "\xe9", "gAAAAA" + "x" * 200])
def test_a_made_up_cookie_is_no_known_browser(app: TestClient, sessions: Sessions, kept: str) -> None:
    email = make_account(sessions)
    fields = {"form_key": form_key(""), "email": email, "password": "a guess"}
    cookie = {b"Cookie": f"{KNOWN_BROWSER}={kept}".encode("latin-1")}
    tries = [app.post("/admin/sign-in", data=fields, headers=cookie).status_code for _ in range(6)]  # type: ignore[arg-type]
    assert tries == [422] * 5 + [429]


def test_one_network_tries_few_accounts(app: TestClient) -> None:
    addresses = [f"2001:db8:1:2::{number:x}" for number in range(31)]
    tries = [Person(app, each).try_password(f"{n}@example.org", "x").status_code for n, each in enumerate(addresses)]
    assert tries == [422] * 30 + [429]


def test_codes_are_guessed_slowly(app: TestClient, sessions: Sessions, keys: Keys) -> None:
    """By somebody who has the password; signing in again buys no further guess, and makes no browser known."""
    email = make_account(sessions)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        totp = pyotp.parse_uri(accounts.propose_totp(session, keys, account=account))
        assert isinstance(totp, pyotp.TOTP)
        account.totp_step = 1
    owner = Person(app, "198.51.100.1")
    owner.try_password(email, PASSWORD)
    assert owner.try_code(totp.now()).status_code == 303
    owner.sign_out()
    tries = []
    for number in range(11):
        thief = Person(app, f"192.0.2.{number}")
        assert thief.try_password(email, PASSWORD).status_code == 303
        assert KNOWN_BROWSER not in thief.browser.cookies
        tries.append(thief.try_code("000000").status_code)
    assert tries == [422] * 9 + [429] * 2  # the owner's own was the first
    assert owner.try_password(email, PASSWORD).status_code == 303
    assert owner.try_code("000000").status_code == 422


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("password", {"present": "a guess", "password": "another long password"}),
        ("totp/drop", {"present": "a guess"}),
        ("totp/confirm", {"code": "000000"}),
    ],
)
def test_a_stolen_cookie_does_not_guess_for_ever(
    app: TestClient, sessions: Sessions, path: str, fields: dict[str, str]
) -> None:
    email = make_account(sessions)
    thief, owner = sign_in(app, sessions, email), sign_in(app, sessions, email)
    tries = [thief.post(f"/admin/account/{path}", fields).status_code for _ in range(11)]
    assert tries == [422] * 10 + [429]
    change = {"present": PASSWORD, "password": "another long password"}
    assert thief.post("/admin/account/password", change).status_code == 429
    # In a browser of their own the owner is not hindered, and ends the thief's.
    assert owner.post("/admin/account/password", change).status_code == 303
    assert thief.get("/admin/account").status_code == 303


@pytest.mark.parametrize("revoke", [True, False])
def test_a_new_password_says_what_becomes_of_tokens(app: TestClient, sessions: Sessions, revoke: bool) -> None:
    email = make_account(sessions)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        token = api_tokens.make(session, account=account, name="the nightly script", scope="read")
    owner = sign_in(app, sessions, email)
    assert "the nightly script stay in force unless you revoke them" in owner.get("/admin/account").text
    fields = {"present": PASSWORD, "password": "another long password"} | ({"revoke_tokens": "on"} if revoke else {})
    assert owner.post("/admin/account/password", fields).status_code == 303
    notice = page_of(owner.get("/admin/account")).frame.notice
    assert ("No API token is in force" in notice) == revoke
    assert ("stay in force until you revoke them: the nightly script" in notice) != revoke
    answer = app.get("/api/v1/studies", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == (401 if revoke else 200)


def test_all_tokens_at_once(app: TestClient, sessions: Sessions) -> None:
    email = make_account(sessions)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        tokens = [api_tokens.make(session, account=account, name=name, scope="read") for name in ("one", "two")]
    owner = sign_in(app, sessions, email)
    assert owner.post("/admin/account/tokens/revoke-all").status_code == 303
    assert page_of(owner.get("/admin/account")).tokens == []
    for token in tokens:
        assert app.get("/api/v1/studies", headers={"Authorization": f"Bearer {token}"}).status_code == 401
