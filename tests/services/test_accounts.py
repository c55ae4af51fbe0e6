"""Accounts, second factors, invitations and roles, and the log of it all."""

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pyotp
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.db import Sessions
from app.errors import BadInput, Conflict, Forbidden, Gone, LookalikeError, NotFound, NotSignedIn
from app.keys import Keys
from app.services import audit, study_lookup
from app.services.accounts import accounts, login, members
from app.services.studies import lifecycle
from tests.support.dashboard import PASSWORD, make_account
from tests.support.triplet_folder import make_draft


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"email": "ada"}, {"email"}),
        ({"email": "a b@c"}, {"email"}),
        ({"email": "a\0@c.org"}, {"email"}),
        ({"password": "elevenchars"}, {"password"}),
        ({"password": "aaaaaaaaaaaaaa"}, {"password"}),
        ({"password": "x" * 201}, {"password"}),
        ({"email": "@", "name": "n" * 201, "password": ""}, {"email", "name", "password"}),
    ],
)
def test_accounts_that_cannot_be(sessions: Sessions, fields: dict[str, str], wrong: set[str]) -> None:
    given = {"email": "new@example.org", "name": "Ada", "password": PASSWORD} | fields
    with sessions() as session, pytest.raises(BadInput) as error:
        accounts.create(session, **given)
    assert error.value.details["fields"].keys() == wrong


def test_one_account_an_address(sessions: Sessions) -> None:
    email = make_account(sessions)
    with sessions() as session, pytest.raises(BadInput, match="already an account"):
        accounts.create(session, email=email.upper(), password=PASSWORD)


def test_a_code_is_good_once(sessions: Sessions, keys: Keys) -> None:
    email = make_account(sessions)
    with sessions.begin() as session:
        account = accounts.by_email(session, email)
        totp = pyotp.parse_uri(accounts.propose_totp(session, keys, account=account))
        assert isinstance(totp, pyotp.TOTP)
        with pytest.raises(BadInput, match="not the present code"):
            accounts.confirm_totp(session, keys, account=account, code="000 00")
        accounts.confirm_totp(session, keys, account=account, code=totp.now())
    with sessions.begin() as session:
        token, sign_in = login.sign_in(session, email=email, password=PASSWORD)
        assert not sign_in.is_confirmed
        with pytest.raises(NotSignedIn):
            login.require(session, token)
        with pytest.raises(BadInput, match="used already"):
            login.give_code(session, keys, token=token, code=totp.now())
    with sessions.begin() as session, patch("app.services.accounts.accounts.time.time", return_value=4e9):
        login.give_code(session, keys, token=token, code=totp.at(4_000_000_000))
        assert login.require(session, token).account.email == email


def test_the_database_keeps_no_token_and_no_secret(sessions: Sessions, keys: Keys) -> None:
    email = make_account(sessions)
    with sessions.begin() as session:
        token, _ = login.sign_in(session, email=email, password=PASSWORD)
        secret = pyotp.parse_uri(accounts.propose_totp(session, keys, account=accounts.by_email(session, email))).secret
    with sessions() as session:
        stored = str(session.execute(text("SELECT a, s FROM accounts a JOIN sign_ins s ON s.account_id = a.id")).all())
    assert all(hidden not in stored for hidden in (token, secret, PASSWORD))


def test_an_invitation_is_for_one_person_once(sessions: Sessions) -> None:
    slug, invited, other = make_draft(sessions), make_account(sessions), make_account(sessions)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        with pytest.raises(BadInput, match="A role is one of"):
            members.invite(session, study=study, email=invited, role="king")
        token = members.invite(session, study=study, email=invited.upper(), role="researcher")
    with sessions() as session, pytest.raises(Forbidden, match="is for"):
        members.accept(session, token=token, account=accounts.by_email(session, other))
    with sessions.begin() as session:
        assert members.accept(session, token=token, account=accounts.by_email(session, invited)) == slug
    with sessions() as session:
        study, role = members.study_as(
            session, account=accounts.by_email(session, invited), slug=slug, wanted="researcher"
        )
        assert role == "researcher"
        with pytest.raises(Gone, match="used already"):
            members.accept(session, token=token, account=accounts.by_email(session, invited))
        with pytest.raises(NotFound):
            members.invitation_of(session, "made up")


def test_an_old_invitation_is_no_use(sessions: Sessions) -> None:
    slug, invited = make_draft(sessions), make_account(sessions)
    with sessions.begin() as session:
        token = members.invite(session, study=study_lookup.by_slug(session, slug), email=invited, role="viewer")
        session.flush()
        session.execute(
            text("UPDATE member_invitations SET expires_at = now() - interval '1 second' WHERE email = :e"),
            {"e": invited},
        )
    with sessions() as session, pytest.raises(Gone, match="older than a week"):
        members.invitation_of(session, token)


def test_an_invitation_takes_nothing_away(sessions: Sessions) -> None:
    slug, email = make_draft(sessions), make_account(sessions)
    with sessions.begin() as session:
        study, account = study_lookup.by_slug(session, slug), accounts.by_email(session, email)
        members.join(session, study=study, account=account, role="owner")
        members.accept(session, token=members.invite(session, study=study, email=email, role="viewer"), account=account)
    with sessions() as session:
        assert [member.role for member in members.members(session, study=study_lookup.by_slug(session, slug))] == [
            "owner"
        ]


def test_two_owners_do_not_step_down_past_each_other(sessions: Sessions) -> None:
    slug, emails = make_draft(sessions), [make_account(sessions) for _ in range(2)]
    with sessions.begin() as session:
        for email in emails:
            account = accounts.by_email(session, email)
            members.join(session, study=study_lookup.by_slug(session, slug), account=account, role="owner")

    def step_down(email: str) -> str:
        try:
            with sessions.begin() as session:
                members.change_role(session, study=study_lookup.by_slug(session, slug), email=email, role="viewer")
        except LookalikeError as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(step_down, emails)) == ["Conflict", "done"]
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        (owner,) = [member.email for member in members.members(session, study=study) if member.role == "owner"]
        with pytest.raises(Conflict, match="at least one owner"):
            members.remove(session, study=study, email=owner)


def test_the_log_is_written_with_the_change_and_never_changed(sessions: Sessions) -> None:
    slug = make_draft(sessions)
    with sessions.begin() as session:
        lifecycle.close(session, slug=slug)  # nobody in particular: no matter of the log
    with sessions() as session:
        assert audit.entries(session, study_id=study_lookup.by_slug(session, slug).id) == []
    slug = make_draft(sessions)
    with sessions() as session:
        audit.act_as(session, "ada@example.org")
        lifecycle.close(session, slug=slug)
        session.rollback()
        assert audit.entries(session, study_id=study_lookup.by_slug(session, slug).id) == []
    with sessions.begin() as session:
        audit.act_as(session, "ada@example.org")
        lifecycle.close(session, slug=slug)
        lifecycle.close(session, slug=slug)
    with sessions() as session:
        (entry,) = audit.entries(session, study_id=study_lookup.by_slug(session, slug).id)
        assert (entry.actor, entry.action) == ("ada@example.org", "closed the study")
    for change in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with sessions() as session, pytest.raises(ProgrammingError, match="append-only"):
            session.execute(text(change))
