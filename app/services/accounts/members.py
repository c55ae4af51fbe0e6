"""Who belongs to a study: roles, and invitations by link."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.roles import ROLES, Role, suffices
from app.errors import BadInput, Conflict, Forbidden, NotFound, Used
from app.keys import token_sha256
from app.models.accounts import Account, MemberInvitation, Membership
from app.models.studies import Study
from app.services import audit, study_lookup
from app.services.accounts import accounts

INVITATION_LASTS = timedelta(days=7)


@dataclass(frozen=True)
class Member:
    email: str
    name: str
    role: Role


@dataclass(frozen=True)
class OpenInvitation:
    """An invitation that somebody has been sent, with its study's name."""

    invitation: MemberInvitation
    slug: str


def study_as(session: Session, *, account: Account, slug: str, wanted: Role) -> tuple[Study, Role]:
    """A study and this person's role in it.

    Raises:
        NotFound: there is none, or it is none of their business. Forbidden: their role does not suffice.
    """
    study = study_lookup.by_slug(session, slug)
    role = _role(session, account, study)
    if role is None:
        raise NotFound(f"There is no study {slug!r}.")
    if not suffices(role, wanted):
        raise Forbidden(f"As a {role} of {slug!r} you cannot do this. Ask one of its owners.")
    return study, role


def require_site_owner(account: Account) -> None:
    """Raises Forbidden for anybody else."""
    if not account.is_site_owner:
        raise Forbidden("Only the owners of this site may look after it.")


def require_may_spend(account: Account) -> None:
    """Recruiting spends the money of whoever runs this site. Raises Forbidden for everybody but the site's owners."""
    if not account.is_site_owner:
        raise Forbidden(
            "Recruiting costs the owners of this site money, so only they may begin it. Please ask one of them."
        )


def _role(session: Session, account: Account, study: Study) -> Role | None:
    if account.is_site_owner:
        return "owner"
    membership = session.get(Membership, (study.id, account.id))
    return None if membership is None else _as_role(membership.role)


def _as_role(text: str) -> Role:
    for role in ROLES:
        if text == role:
            return role
    raise BadInput(f"A role is one of {', '.join(ROLES)}.", fields={"role": "Choose one of the roles."})


def visible_studies(session: Session, *, account: Account) -> Sequence[Study]:
    """The studies this person may see, the newest first."""
    wanted = select(Study).order_by(Study.id.desc())
    if not account.is_site_owner:
        wanted = wanted.join(Membership, Membership.study_id == Study.id).where(Membership.account_id == account.id)
    return session.scalars(wanted).all()


def members(session: Session, *, study: Study) -> list[Member]:
    rows = session.execute(
        select(Account.email, Account.name, Membership.role)
        .join(Membership, Membership.account_id == Account.id)
        .where(Membership.study_id == study.id)
        .order_by(Membership.created_at)
    )
    return [Member(row.email, row.name, _as_role(row.role)) for row in rows]


def join(session: Session, *, study: Study, account: Account, role: Role) -> None:
    """Give somebody a role; a former one is replaced."""
    values = {"study_id": study.id, "account_id": account.id, "role": role}
    session.execute(insert(Membership).values(values).on_conflict_do_update(constraint="pk_memberships", set_=values))
    audit.record(session, f"gave the role of {role} to", study=study, subject=account.email)


def change_role(session: Session, *, study: Study, email: str, role: str) -> None:
    """Raises NotFound for no member, BadInput for no role, Conflict if no owner would be left."""
    membership, account = _membership(session, study, email)
    wanted = _as_role(role)
    if wanted != "owner":
        _require_another_owner(session, study, membership)
    membership.role = wanted
    audit.record(session, f"gave the role of {wanted} to", study=study, subject=account.email)


def remove(session: Session, *, study: Study, email: str) -> None:
    """Raises NotFound for no member, Conflict if no owner would be left."""
    membership, account = _membership(session, study, email)
    _require_another_owner(session, study, membership)
    session.delete(membership)
    audit.record(session, "removed from the study", study=study, subject=account.email)


def _membership(session: Session, study: Study, email: str) -> tuple[Membership, Account]:
    account = accounts.by_email(session, email)
    membership = session.get(Membership, (study.id, account.id), with_for_update=True)
    if membership is None:
        raise NotFound(f"{email} does not belong to this study.")
    return membership, account


def _require_another_owner(session: Session, study: Study, leaving: Membership) -> None:
    study_lookup.by_slug(session, study.slug, lock=True)  # two owners do not step down past each other
    others = select(Membership.account_id).where(
        Membership.study_id == study.id, Membership.role == "owner", Membership.account_id != leaving.account_id
    )
    if leaving.role == "owner" and session.scalar(others.limit(1)) is None:
        raise Conflict("A study keeps at least one owner. Make somebody else an owner first.")


def invite(session: Session, *, study: Study, email: str, role: str) -> str:
    """The token of a link that lets one person join, for a week.

    Raises:
        BadInput: no e-mail address, or no role.
    """
    email = email.strip().lower()
    if "@" not in email or not email.isprintable() or len(email) > 200:
        wrong = "This is not an e-mail address."
        raise BadInput(wrong, fields={"email": wrong})
    token = secrets.token_urlsafe(24)
    session.add(
        MemberInvitation(
            token_sha256=token_sha256(token),
            study_id=study.id,
            email=email,
            role=_as_role(role),
            expires_at=func.clock_timestamp() + INVITATION_LASTS,
        )
    )
    audit.record(session, f"invited as {role}", study=study, subject=email)
    return token


def open_invitations(session: Session, *, study: Study) -> Sequence[MemberInvitation]:
    return session.scalars(
        select(MemberInvitation)
        .where(
            MemberInvitation.study_id == study.id,
            MemberInvitation.accepted_at.is_(None),
            MemberInvitation.expires_at > func.clock_timestamp(),
        )
        .order_by(MemberInvitation.id)
    ).all()


def revoke(session: Session, *, study: Study, invitation_id: int) -> None:
    invitation = session.get(MemberInvitation, invitation_id, with_for_update=True)
    if invitation is None or invitation.study_id != study.id or invitation.accepted_at is not None:
        raise NotFound("There is no such open invitation.")
    session.delete(invitation)
    audit.record(session, "took back the invitation", study=study, subject=invitation.email)


def invitation_of(session: Session, token: str, *, lock: bool = False) -> OpenInvitation:
    """Raises NotFound for a token that never was, Used for one that is used or too old."""
    wanted = select(MemberInvitation).where(MemberInvitation.token_sha256 == token_sha256(token))
    invitation = session.scalar(wanted.with_for_update() if lock else wanted)
    if invitation is None:
        raise NotFound("There is no such invitation. Perhaps it was taken back.")
    if invitation.accepted_at is not None or invitation.expires_at < session.scalars(select(func.now())).one():
        raise Used("This invitation was used already, or it is older than a week. Ask for a new one.")
    return OpenInvitation(invitation, session.get_one(Study, invitation.study_id).slug)


def accept(session: Session, *, token: str, account: Account) -> str:
    """Join by an invitation; returns the study's name. Somebody who may already do more keeps their role.

    Raises:
        NotFound, Used: see `invitation_of`. Forbidden: it is for another address.
    """
    found = invitation_of(session, token, lock=True)
    if found.invitation.email != account.email:
        raise Forbidden(f"This invitation is for {found.invitation.email}, and you are signed in as {account.email}.")
    study = session.get_one(Study, found.invitation.study_id)
    audit.act_as(session, account.email)
    found.invitation.accepted_at = func.clock_timestamp()
    invited, present = _as_role(found.invitation.role), _role(session, account, study)
    if present is None or not suffices(present, invited):
        join(session, study=study, account=account, role=invited)
    session.flush()
    return found.slug
