"""How a study stands: rounds, survivors, votes, speed, and when it may end."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.models.studies import Round, Study
from app.services.rounds import tallies
from app.services.rounds.tallies import Cell
from app.services.study_lookup import current_protocol, status_word

SPEED_WINDOW_MINUTES = 5


@dataclass(frozen=True)
class RoundStatus:
    """`entered` items went into the round, `survivors` came out of it so far; `votes` are its valid ones and `wanted`
    those still needed, counted in each item's own votes like the rounds of the filter."""

    number: int
    entered: int
    survivors: int
    votes: int
    wanted: int
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class StudyStatus:
    """`votes_per_minute` and `minutes_left` are None unless votes have come in lately. Without a filter every item
    survives. `votes` are the valid ones: a JND trial is one, of however many pairs."""

    slug: str
    status: str
    has_filter: bool
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


# Only sittings that may have had a vote lately are looked into, one by one (OFFSET 0): the planner takes them for many.
_RECENT = text("""
    SELECT count(*) AS votes, extract(epoch FROM clock_timestamp() - min(received_at)) / 60 AS minutes
    FROM assignments a CROSS JOIN LATERAL (
        SELECT j.received_at FROM trials t JOIN judgments j ON j.trial_id = t.id
        WHERE t.assignment_id = a.id AND j.slot_id IS NOT NULL AND j.question = 0
          AND j.received_at > statement_timestamp() - make_interval(mins => :window)
        OFFSET 0
    ) votes
    WHERE a.study_id = :study
      AND coalesce(a.completed_at, a.deadline) > statement_timestamp() - make_interval(mins => :window)
""")


def study_status(session: Session, study: Study, *, protocol: Protocol | None = None) -> StudyStatus:
    """Args:
    protocol: the study's current one, if the caller has it already.
    """
    protocol = protocol or current_protocol(session, study.id)
    pool = tallies.pools(session, [study.id])[study.id]
    sittings = tallies.assignments(session, [study.id])[study.id]
    opened = session.scalars(select(Round).where(Round.study_id == study.id).order_by(Round.number)).all()
    by_round = [_round_status(round_, pool, protocol, study) for round_ in opened]
    status = status_word(study)
    speed = _speed(session, study.id) if status == "collecting" else None
    return StudyStatus(
        slug=study.slug,
        status=status,
        has_filter=protocol.has_filter,
        round=study.round,
        rounds=protocol.rounds,
        items=tallies.items(pool),
        survivors=tallies.survivors(pool),
        votes=tallies.votes(pool),
        participants_now=sittings.get("active", 0),
        assignments_completed=sittings.get("completed", 0),
        votes_per_minute=speed,
        minutes_left=_minutes_left(by_round, protocol.rounds, protocol.votes_per_round, speed),
        by_round=by_round,
    )


def _round_status(round_: Round, pool: list[Cell], protocol: Protocol, study: Study) -> RoundStatus:
    number, each = round_.number, protocol.votes_per_round
    return RoundStatus(
        number=number,
        entered=sum(cell.items for cell in pool if cell.outlives(number - 1)),
        survivors=sum(cell.items for cell in pool if cell.outlives(number)),
        votes=sum(tallies.votes_in(cell, number, each) for cell in pool),
        wanted=sum(tallies.wanted_in(cell, number, each, round_=study.round, drop=protocol.drop) for cell in pool),
        opened_at=round_.opened_at,
        closed_at=round_.closed_at,
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
