"""Signing in: a random token in a cookie, its hash in the database."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.errors import BadInput, NotSignedIn
from app.keys import Keys, token_sha256
from app.models.accounts import Account, SignIn
from app.services import audit
from app.services.accounts import accounts

LASTS = timedelta(days=14)


@dataclass(frozen=True)
class SignedIn:
    """Whoever is behind a request, with the row of the browser they sit at."""

    account: Account
    sign_in: SignIn


def sign_in(session: Session, *, email: str, password: str) -> tuple[str, SignIn]:
    """A new token for the cookie. With a second factor it is good for giving the code, and nothing else yet.

    Raises:
        BadInput: wrong address or password; it does not say which.
    """
    account = accounts.authenticate(session, email=email, password=password)
    if account is None:
        raise BadInput("The e-mail address or the password is wrong.")
    session.execute(delete(SignIn).where(SignIn.expires_at < func.clock_timestamp()))
    return start(session, account=account, is_confirmed=account.totp_step is None)


def start(session: Session, *, account: Account, is_confirmed: bool = True) -> tuple[str, SignIn]:
    token = secrets.token_urlsafe(32)
    sign_in = SignIn(
        token_sha256=token_sha256(token),
        account_id=account.id,
        is_confirmed=is_confirmed,
        expires_at=func.clock_timestamp() + LASTS,
    )
    session.add(sign_in)
    session.flush()
    return token, sign_in


def give_code(session: Session, keys: Keys, *, token: str, code: str) -> None:
    """Confirm a sign-in with the second factor. Raises BadInput for a wrong code, NotSignedIn without a sign-in."""
    signed_in = _of_token(session, token)
    if signed_in is None:
        raise NotSignedIn("Your sign-in has ended. Please sign in again.")
    if not signed_in.sign_in.is_confirmed:
        if not accounts.accept_code(session, keys, account=signed_in.account, code=code):
            raise BadInput("This is not the present code, or it was used already.")
        signed_in.sign_in.is_confirmed = True


def require(session: Session, token: str) -> SignedIn:
    """Who has this token; the session acts as them from here on.

    Raises:
        NotSignedIn: nobody, or a code is still missing.
    """
    signed_in = _of_token(session, token)
    if signed_in is None or not signed_in.sign_in.is_confirmed:
        raise NotSignedIn("Please sign in to see this page.")
    audit.act_as(session, signed_in.account.email)
    return signed_in


def awaiting_code(session: Session, token: str) -> str | None:
    """The e-mail address whose second factor is still missing."""
    signed_in = _of_token(session, token)
    return None if signed_in is None or signed_in.sign_in.is_confirmed else signed_in.account.email


def sign_out(session: Session, *, token: str) -> None:
    session.execute(delete(SignIn).where(SignIn.token_sha256 == token_sha256(token)))


def take_notice(sign_in: SignIn) -> str | None:
    """What the next page should tell, once."""
    notice = sign_in.notice
    if notice is not None:
        sign_in.notice = None
    return notice


def _of_token(session: Session, token: str) -> SignedIn | None:
    if not token:
        return None
    row = session.execute(
        select(Account, SignIn)
        .join(SignIn, SignIn.account_id == Account.id)
        .where(SignIn.token_sha256 == token_sha256(token), SignIn.expires_at > func.clock_timestamp())
    ).one_or_none()
    return None if row is None else SignedIn(row[0], row[1])
