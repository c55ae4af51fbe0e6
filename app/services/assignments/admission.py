"""Whether somebody who arrives may come in: from our own study at the recruiter, by a link not used before."""

import hashlib

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.errors import BadInput, Forbidden, Gone
from app.models.recruiting import Invitation, Recruitment, UsedLink
from app.models.studies import Study
from app.recruiters import direct
from app.recruiters.entry import Arrival
from app.services import audit
from app.services.study_lookup import current_protocol


def use_link(session: Session, arrival: Arrival) -> None:
    """A signed link lets in one opening of it: a second click on the same page is fine, a second page is not.

    Raises:
        Forbidden: somebody signed up with this link on another page.
    """
    if arrival.link is None:
        return
    session.execute(insert(UsedLink).values(link_sha256=arrival.link, page=arrival.page).on_conflict_do_nothing())
    if session.scalars(select(UsedLink.page).where(UsedLink.link_sha256 == arrival.link)).one() != arrival.page:
        raise Forbidden("This link was used before. Please open the study from Prolific again.")


def recruitment_of(session: Session, *, study: Study, arrival: Arrival) -> Recruitment | None:
    """The recruiter's study the person comes from; None for people who come on their own. Where the recruiter does not
    say which of its studies it is, the newest.

    Raises:
        Forbidden: it is not one of this study's.
    """
    theirs = select(Recruitment).where(Recruitment.study_id == study.id, Recruitment.recruiter == arrival.recruiter)
    if arrival.study is None:
        return session.scalar(theirs.order_by(Recruitment.number.desc()).limit(1))
    recruitment = session.scalar(theirs.where(Recruitment.external_id == arrival.study))
    if recruitment is None:
        raise Forbidden("This link belongs to another study. Please open the study from where you found it.")
    return recruitment


def require_invitation(session: Session, *, study: Study, arrival: Arrival) -> None:
    """Raises Forbidden for an invitation that this study never gave out."""
    if arrival.recruiter != direct.NAME or not arrival.participant.startswith(direct.INVITED):
        return
    invitation = session.get(Invitation, _code_sha256(arrival.participant.removeprefix(direct.INVITED)))
    if invitation is None or invitation.study_id != study.id:
        raise Forbidden("This invitation is not known here. Please open the link that you were sent, with all of it.")


def invite(session: Session, *, study: Study, count: int) -> list[str]:
    """New single-use codes. They are shown once: only their hashes are kept.

    Raises:
        BadInput: the study's link needs no invitation. Gone: nobody can take part any more.
    """
    recruiting = current_protocol(session, study.id).recruiting
    if recruiting.recruiter != direct.NAME or not recruiting.invitations:
        raise BadInput(f"The study {study.slug!r} is not by invitation: its protocol would set recruiting.invitations.")
    if study.state == "closed" or study.finished_at is not None:
        raise Gone(f"The study {study.slug!r} is over: nobody can take part any more.")
    codes = [direct.new_invitation() for _ in range(count)]
    session.add_all(Invitation(code_sha256=_code_sha256(code), study_id=study.id) for code in codes)
    audit.record(session, "made single-use links", study=study, links=count)
    session.flush()
    return codes


def _code_sha256(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
