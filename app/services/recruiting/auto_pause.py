"""When recruiting pauses by itself: sittings fail in a row, too many are returned, the pages fail.

A brake looks only at what happened since it was last resolved, so that whoever looked and went on is not stopped by the
same again. (The budget's own brake is in `plan.py`, where money is committed.)
"""

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.domain.counted import counted
from app.domain.protocol import Brakes
from app.services.recruiting.alerts import tell
from app.services.rounds.outcomes import is_excluded

LATEST = 20
"""Rates are of so many at least: two returns of three are an accident."""

_SINCE = """(
    SELECT coalesce(max(resolved_at), '-infinity') FROM notices WHERE study_id = :study AND kind = :kind
)"""

_ENDED = text(f"""
    SELECT state <> 'completed' OR {is_excluded("a.id")} AS failed
    FROM assignments a
    WHERE study_id = :study AND recruitment_id IS NOT NULL AND state <> 'active'
      AND coalesce(completed_at, deadline) > {_SINCE}
    ORDER BY coalesce(completed_at, deadline) DESC, id DESC LIMIT :count
""")

_RETURNS = text(f"""
    SELECT status IN ('RETURNED', 'TIMED-OUT') AS given_back
    FROM submissions s JOIN recruitments r ON r.id = s.recruitment_id
    WHERE r.study_id = :study AND status NOT IN ('RESERVED', 'ACTIVE') AND s.created_at > {_SINCE}
    ORDER BY s.id DESC LIMIT :count
""")

# Of the newest sittings only: a study may have millions of votes, and the budget is locked meanwhile.
_ATTEMPTS = text(f"""
    WITH latest AS MATERIALIZED (
        SELECT id FROM assignments WHERE study_id = :study AND recruitment_id IS NOT NULL ORDER BY id DESC LIMIT :count
    )
    SELECT failed FROM (
        SELECT j.received_at AS at, false AS failed FROM latest a JOIN trials t ON t.assignment_id = a.id
        JOIN judgments j ON j.trial_id = t.id
        UNION ALL
        SELECT b.received_at, b.reason = 'decode' FROM latest a JOIN trials t ON t.assignment_id = a.id
        JOIN aborts b ON b.trial_id = t.id
    ) attempts WHERE at > {_SINCE} ORDER BY at DESC LIMIT :count
""")


def check(session: Session, *, study_id: int, brakes: Brakes) -> None:
    """Pull the brakes that have a reason."""
    ended = _latest(session, _ENDED, study_id, "failures", brakes.failures_in_a_row)
    if len(ended) == brakes.failures_in_a_row and all(ended):
        _brake(
            session, study_id, "failures", f"Not completed, or not usable: the last {counted(len(ended), 'sitting')}."
        )
    returns = _latest(session, _RETURNS, study_id, "returns", LATEST)
    if len(returns) == LATEST and sum(returns) > brakes.return_rate * LATEST:
        _brake(
            session, study_id, "returns", f"{sum(returns)} of the last {LATEST} submissions were returned or ran out."
        )
    attempts = _latest(session, _ATTEMPTS, study_id, "errors", 10 * LATEST)
    if len(attempts) >= LATEST and sum(attempts) > brakes.error_rate * len(attempts):
        _brake(session, study_id, "errors", f"{sum(attempts)} of the last {len(attempts)} trials could not be shown.")


def _latest(session: Session, statement: TextClause, study_id: int, kind: str, count: int) -> list[bool]:
    return list(session.scalars(statement, {"study": study_id, "kind": kind, "count": count}))


def _brake(session: Session, study_id: int, kind: str, message: str) -> None:
    after = " Recruiting is paused. Have a look, then go on with: lookalike recruit resume"
    tell(session, study_id=study_id, kind=kind, message=message + after, stops=True)
