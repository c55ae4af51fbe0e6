"""Accounts of the people who run studies, what they may see, and the log of what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.roles import ROLES, SCOPES
from app.models.base import Base, Id, Now


class Account(Base):
    """Somebody who signs in. A site owner is an owner of every study.

    `totp_secret` is under Fernet and in force once `totp_step` (the last time step a code was taken for) is set.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("email", name="email"),
        CheckConstraint("email = lower(email) AND email LIKE '%_@_%'", name="email_form"),
        CheckConstraint("totp_step IS NULL OR totp_secret IS NOT NULL", name="totp"),
    )

    id: Mapped[Id]
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_step: Mapped[int | None]
    is_site_owner: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]


class SignIn(Base):
    """One browser in which somebody has signed in; the cookie's token is stored as a hash.

    `notice` is what the next page tells once. Until the code of a second factor is given, `is_confirmed` is false.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),)

    token_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    is_confirmed: Mapped[bool]
    notice: Mapped[str | None]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]


class Membership(Base):
    """What an account may do in a study."""

    __tablename__ = "memberships"
    __table_args__ = (CheckConstraint(f"role IN {ROLES}", name="role"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, index=True)
    role: Mapped[str]
    created_at: Mapped[Now]


class MemberInvitation(Base):
    """A link by which one person joins a study, once; its token is stored as a hash."""

    __tablename__ = "member_invitations"
    __table_args__ = (
        CheckConstraint(f"role IN {ROLES}", name="role"),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
        UniqueConstraint("token_sha256", name="token_sha256"),
    )

    id: Mapped[Id]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    email: Mapped[str]
    role: Mapped[str]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]


class ApiToken(Base):
    """A program's key to what its account may do, as far as its scope goes; stored as a hash."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint(f"scope IN {SCOPES}", name="scope"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint("octet_length(token_sha256) = 32", name="token_sha256"),
        UniqueConstraint("token_sha256", name="token_sha256"),
    )

    id: Mapped[Id]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str]
    scope: Mapped[str]
    token_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One change by a person: append-only, by a trigger, and written in the transaction of the change.

    `actor` is their e-mail address at the time, `subject` what was changed within the study.
    """

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_study_id_id", "study_id", "id"),)

    id: Mapped[Id]
    at: Mapped[Now]
    actor: Mapped[str]
    action: Mapped[str]
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"))
    subject: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
