"""API tokens: random, shown once, stored as hashes, and never good for more than their account and their scope."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.roles import SCOPES, Scope
from app.errors import BadInput, Forbidden, NotFound, NotSignedIn
from app.keys import token_sha256
from app.models.accounts import Account, ApiToken
from app.services import audit

PREFIX = "lookalike_"
LONGEST_NAME = 100
LASTS = (30, 90, 365)
"""For so many days a token can be made."""


@dataclass(frozen=True)
class Bearer:
    """The account that a program acts for."""

    account: Account


def make(session: Session, *, account: Account, name: str, scope: str, days: int = LASTS[1]) -> str:
    """A new token. Raises BadInput for a name, a scope or a number of days that cannot be."""
    name = name.strip()
    problems = {}
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        problems["name"] = f"A name has 1 to {LONGEST_NAME} characters."
    if scope not in SCOPES:
        problems["scope"] = f"A scope is one of {', '.join(SCOPES)}."
    if days not in LASTS:
        problems["days"] = f"A token is good for one of {', '.join(map(str, LASTS))} days."
    if problems:
        raise BadInput(" ".join(problems.values()), fields=problems)
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            account_id=account.id,
            name=name,
            scope=scope,
            token_sha256=token_sha256(token),
            expires_at=func.clock_timestamp() + timedelta(days=days),
        )
    )
    audit.record(session, "made the API token", subject=name, scope=scope, days=days)
    return token


def of_account(session: Session, account: Account) -> Sequence[ApiToken]:
    """Those not revoked, the newest first."""
    wanted = select(ApiToken).where(ApiToken.account_id == account.id, ApiToken.revoked_at.is_(None))
    return session.scalars(wanted.order_by(ApiToken.id.desc())).all()


def in_force(session: Session, account: Account) -> Sequence[ApiToken]:
    """Those that a program can still use, the newest first."""
    wanted = select(ApiToken).where(
        ApiToken.account_id == account.id,
        ApiToken.revoked_at.is_(None),
        ApiToken.expires_at > func.clock_timestamp(),
    )
    return session.scalars(wanted.order_by(ApiToken.id.desc())).all()


def revoke_all(session: Session, *, account: Account) -> list[str]:
    """Returns the names of the tokens that were in force."""
    ended = in_force(session, account)
    for token in ended:
        token.revoked_at = func.clock_timestamp()
        audit.record(session, "revoked the API token", subject=token.name)
    return [token.name for token in ended]


def revoke(session: Session, *, account: Account, token_id: int) -> None:
    """Raises NotFound for a token that is not this account's, or not in force."""
    token = session.get(ApiToken, token_id)
    if token is None or token.account_id != account.id or token.revoked_at is not None:
        raise NotFound("There is no such API token.")
    token.revoked_at = func.clock_timestamp()
    audit.record(session, "revoked the API token", subject=token.name)


def require(session: Session, token: str, *, scope: Scope) -> Bearer:
    """Whom the token acts for; so does the session from here on.

    Raises:
        NotSignedIn: no token in force. Forbidden: its scope does not suffice.
    """
    row = session.execute(
        select(Account, ApiToken.scope)
        .join(ApiToken, ApiToken.account_id == Account.id)
        .where(ApiToken.token_sha256 == token_sha256(token), ApiToken.revoked_at.is_(None))
        .where(ApiToken.expires_at > func.clock_timestamp())
    ).one_or_none()
    if row is None:
        raise NotSignedIn("Send an API token that is in force: Authorization: Bearer lookalike_…")
    account, granted = row
    if SCOPES.index(granted) < SCOPES.index(scope):
        raise Forbidden(f"This API token has the scope {granted!r}; this takes {scope!r}.")
    audit.act_as(session, f"{account.email} (API)")
    return Bearer(account)
