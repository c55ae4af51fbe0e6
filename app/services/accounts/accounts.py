"""Accounts: made, given a password and a second factor."""

import re
import time
from functools import cache

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import BadInput, NotFound
from app.keys import Keys
from app.models.accounts import Account, SignIn
from app.services import audit

SHORTEST_PASSWORD = 12
_LONGEST = 200
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_STEP_S = 30
_hasher = PasswordHasher()


def create(session: Session, *, email: str, password: str, name: str = "", is_site_owner: bool = False) -> Account:
    """Raises BadInput: no address, a name or password out of bounds (`details["fields"]`), or the address is taken."""
    email, name = email.strip().lower(), name.strip()
    problems = _complaints(email=email, name=name, password=password)
    if problems:
        raise BadInput(" ".join(problems.values()), fields=problems)
    account = Account(
        email=email, name=name or email, password_hash=_hasher.hash(password), is_site_owner=is_site_owner
    )
    session.add(account)
    try:
        session.flush()
    except IntegrityError:
        taken = f"There is already an account for {email}."
        raise BadInput(taken, fields={"email": taken}) from None
    audit.record(session, "made the account", subject=email)
    return account


def _complaints(*, email: str, name: str, password: str) -> dict[str, str]:
    problems = {}
    if not _EMAIL.fullmatch(email) or len(email) > _LONGEST or "\0" in email:
        problems["email"] = "This is not an e-mail address."
    if len(name) > _LONGEST or not (name or email).isprintable():
        problems["name"] = f"A name has at most {_LONGEST} characters, all of them printable."
    if complaint := _password_complaint(password, email):
        problems["password"] = complaint
    return problems


def _password_complaint(password: str, email: str) -> str | None:
    if len(password) < SHORTEST_PASSWORD:
        return f"A password has at least {SHORTEST_PASSWORD} characters."
    if len(password) > _LONGEST:
        return f"A password has at most {_LONGEST} characters."
    if password.lower() == email or len(set(password)) < 4:
        return "This password is too easy to guess."
    return None


def by_email(session: Session, email: str) -> Account:
    account = _find(session, email)
    if account is None:
        raise NotFound(f"There is no account for {email}.")
    return account


def _find(session: Session, email: str) -> Account | None:
    return session.scalar(select(Account).where(Account.email == email.strip().lower().replace("\0", "")))


def is_known(session: Session, email: str) -> bool:
    return _find(session, email) is not None


def has_site_owner(session: Session) -> bool:
    return session.scalar(select(Account.id).where(Account.is_site_owner).limit(1)) is not None


def authenticate(session: Session, *, email: str, password: str) -> Account | None:
    """The account these belong to. An unknown address takes as long as a wrong password."""
    account = _find(session, email)
    try:
        _hasher.verify(account.password_hash if account else _nobodys_hash(), password[: _LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return None
    if account is not None and _hasher.check_needs_rehash(account.password_hash):
        account.password_hash = _hasher.hash(password)
    return account


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("the password of nobody")


def set_password(session: Session, *, account: Account, password: str) -> None:
    """Change the password and end every sign-in of the account.

    Raises:
        BadInput: the password is out of bounds.
    """
    if complaint := _password_complaint(password, account.email):
        raise BadInput(complaint, fields={"password": complaint})
    account.password_hash = _hasher.hash(password)
    session.execute(delete(SignIn).where(SignIn.account_id == account.id))
    audit.record(session, "changed the password", subject=account.email)


def propose_totp(session: Session, keys: Keys, *, account: Account) -> str:
    """A second factor's `otpauth://` address, to be confirmed with its first code; the same until it is in force."""
    if account.totp_step is not None:
        raise BadInput("A second factor is in force already.")
    if account.totp_secret is None:
        account.totp_secret = keys.lock_totp(pyotp.random_base32())
        session.flush()
    return pyotp.TOTP(keys.unlock_totp(account.totp_secret)).provisioning_uri(
        name=account.email, issuer_name="Lookalike"
    )


def confirm_totp(session: Session, keys: Keys, *, account: Account, code: str) -> None:
    """Put the proposed second factor in force. Raises BadInput for a wrong code."""
    if account.totp_secret is None or not accept_code(session, keys, account=account, code=code):
        wrong = "This is not the present code. Check that the clock of your phone is right."
        raise BadInput(wrong, fields={"code": wrong})
    audit.record(session, "switched the second factor on", subject=account.email)


def drop_totp(session: Session, *, account: Account) -> None:
    account.totp_secret = account.totp_step = None
    audit.record(session, "switched the second factor off", subject=account.email)


def accept_code(session: Session, keys: Keys, *, account: Account, code: str) -> bool:
    """Whether it is the code of this half minute or the one before or after; each is taken once (RFC 6238, 5.2)."""
    assert account.totp_secret is not None
    totp, now = pyotp.TOTP(keys.unlock_totp(account.totp_secret)), int(time.time()) // _STEP_S
    given = "".join(code.split())
    matching = [step for step in (now - 1, now, now + 1) if pyotp.utils.strings_equal(totp.generate_otp(step), given)]
    if not matching:
        return False
    # Decided by the database, so that of two requests with the same code one is refused.
    taken = session.execute(
        update(Account)
        .where(Account.id == account.id, func.coalesce(Account.totp_step, 0) < matching[-1])
        .values(totp_step=matching[-1])
        .returning(Account.id)
    )
    return taken.one_or_none() is not None
