"""Approving, rejecting, asking for a return by hand. Paying and using are two decisions: this touches no vote."""

from sqlalchemy import select

from app.db import Sessions
from app.errors import NotFound
from app.keys import Keys
from app.models.assignments import Assignment
from app.models.recruiting import Submission
from app.recruiters.configured import calling
from app.recruiters.retry import PATIENT, Patience
from app.services.assignments import people
from app.services.recruiting.reconcile import one_at_a_time
from app.settings import Settings


def approve(
    sessions: Sessions, keys: Keys, settings: Settings, *, assignment_id: int, patience: Patience = PATIENT
) -> None:
    """Raises NotFound, or what the recruiter says."""
    recruiter, submission = _submission(sessions, keys, assignment_id)
    with one_at_a_time(sessions), calling(settings, recruiter, patience=patience) as api:
        api.approve([submission])


def reject(
    sessions: Sessions,
    keys: Keys,
    settings: Settings,
    *,
    assignment_id: int,
    category: str,
    message: str,
    patience: Patience = PATIENT,
) -> None:
    """Raises NotFound, BadInput for a category or a message that the recruiter would not take, or what it says."""
    recruiter, submission = _submission(sessions, keys, assignment_id)
    with one_at_a_time(sessions), calling(settings, recruiter, patience=patience) as api:
        api.reject(submission, category=category, message=message)


def request_return(
    sessions: Sessions, keys: Keys, settings: Settings, *, assignment_id: int, reason: str, patience: Patience = PATIENT
) -> None:
    """Ask the person to give the submission back. Raises NotFound, or what the recruiter says."""
    recruiter, submission = _submission(sessions, keys, assignment_id)
    with one_at_a_time(sessions), calling(settings, recruiter, patience=patience) as api:
        api.request_return(submission, reason=reason)


def _submission(sessions: Sessions, keys: Keys, assignment_id: int) -> tuple[str, str]:
    """Its recruiter and its id there, if the recruiter listed it for this very study: an id that came with a link says
    nothing, it may be that of a submission to somebody else's study."""
    with sessions() as session:
        recruiter = session.scalar(
            select(Assignment.recruiter)
            .join(Submission, Submission.assignment_id == Assignment.id)
            .where(Assignment.id == assignment_id)
        )
        submission = people.submission_id(session, keys, assignment_id=assignment_id)
        if recruiter is None or submission is None:
            raise NotFound(f"No recruiter knows a submission of assignment {assignment_id}.")
        return recruiter, submission
