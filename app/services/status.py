"""How a study stands: rounds, survivors, votes, speed, and when it may end."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models.studies import Study
from app.services.protocols import current_protocol
from app.services.studies import status_word

SPEED_WINDOW_MINUTES = 5


@dataclass(frozen=True)
class RoundStatus:
    """`entered` items went into the round, `survivors` came out of it so far; `votes` are valid ones in its slots,
    `wanted` the slots still open or leased."""

    number: int
    entered: int
    survivors: int
    votes: int
    wanted: int
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class StudyStatus:
    """`votes_per_minute` and `minutes_left` are None unless votes have come in lately."""

    slug: str
    status: str
    round: int
    rounds: int
    items: int
    survivors: int
    votes: int
    participants_now: int
    assignments_completed: int
    votes_per_minute: float | None
    minutes_left: float | None
    by_round: list[RoundStatus]


_ROUNDS = text("""
    WITH votes AS (
        SELECT s.round, count(*) AS votes
        FROM judgments j JOIN slots s ON s.id = j.slot_id JOIN trials t ON t.id = j.trial_id
        WHERE s.study_id = :study AND j.question = 0 AND NOT j.late
          AND NOT EXISTS (SELECT FROM exclusions e WHERE e.assignment_id = t.assignment_id AND e.reinstated_at IS NULL)
        GROUP BY s.round
    ), wanted AS (
        SELECT round, count(*) AS wanted FROM slots
        WHERE study_id = :study AND state IN ('open', 'leased') GROUP BY round
    ), fates AS (
        SELECT dropped_round, count(*) AS items FROM items
        WHERE study_id = :study AND role = 'pool' GROUP BY dropped_round
    )
    SELECT r.number, r.opened_at, r.closed_at, coalesce(votes, 0) AS votes, coalesce(wanted, 0) AS wanted,
           (SELECT CAST(coalesce(sum(items), 0) AS int) FROM fates
            WHERE dropped_round >= r.number OR dropped_round IS NULL) AS entered,
           (SELECT CAST(coalesce(sum(items), 0) AS int) FROM fates
            WHERE dropped_round > r.number OR dropped_round IS NULL) AS survivors
    FROM rounds r LEFT JOIN votes ON votes.round = r.number LEFT JOIN wanted ON wanted.round = r.number
    WHERE r.study_id = :study ORDER BY r.number
""")

_TOTALS = text("""
    SELECT i.items, i.survivors, a.participants_now, a.completed
    FROM (SELECT count(*) AS items, count(*) FILTER (WHERE dropped_round IS NULL) AS survivors
          FROM items WHERE study_id = :study AND role = 'pool') i,
         (SELECT count(*) FILTER (WHERE state = 'active') AS participants_now,
                 count(*) FILTER (WHERE state = 'completed') AS completed
          FROM assignments WHERE study_id = :study) a
""")

_RECENT = text("""
    SELECT count(*) AS votes,
           extract(epoch FROM clock_timestamp() - min(j.received_at)) / 60 AS minutes
    FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN assignments a ON a.id = t.assignment_id
    WHERE a.study_id = :study AND j.slot_id IS NOT NULL AND j.question = 0
      AND j.received_at > clock_timestamp() - make_interval(mins => :window)
""")


def study_status(session: Session, study: Study) -> StudyStatus:
    protocol = current_protocol(session, study.id)
    totals = session.execute(_TOTALS, {"study": study.id}).one()
    by_round = [
        RoundStatus(
            number=row.number,
            entered=row.entered,
            survivors=row.survivors,
            votes=row.votes,
            wanted=row.wanted,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
        )
        for row in session.execute(_ROUNDS, {"study": study.id})
    ]
    status = status_word(study)
    speed = _speed(session, study.id) if status == "collecting" else None
    return StudyStatus(
        slug=study.slug,
        status=status,
        round=study.round,
        rounds=protocol.rounds,
        items=totals.items,
        survivors=totals.survivors,
        votes=sum(row.votes for row in by_round),
        participants_now=totals.participants_now,
        assignments_completed=totals.completed,
        votes_per_minute=speed,
        minutes_left=_minutes_left(by_round, protocol.rounds, protocol.votes_per_round, speed),
        by_round=by_round,
    )


def _speed(session: Session, study_id: int) -> float | None:
    recent = session.execute(_RECENT, {"study": study_id, "window": SPEED_WINDOW_MINUTES}).one()
    return recent.votes / max(float(recent.minutes), 1 / 60) if recent.votes else None


def _minutes_left(by_round: list[RoundStatus], rounds: int, votes_per_round: int, speed: float | None) -> float | None:
    """Votes still expected over the present speed, if every coming round keeps the share that the last full one did."""
    if not by_round or not speed:
        return None
    closed = [row for row in by_round if row.closed_at is not None and row.entered]
    kept = (
        closed[-1].survivors / closed[-1].entered if closed else by_round[-1].survivors / max(by_round[-1].entered, 1)
    )
    expected, survivors = float(sum(row.wanted for row in by_round)), float(by_round[-1].survivors)
    for _ in range(rounds - by_round[-1].number):
        expected += survivors * votes_per_round
        survivors *= kept
    return expected / speed
