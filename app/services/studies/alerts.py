"""What a researcher should know about a study before anything else."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.counted import counted
from app.domain.durations import duration
from app.domain.money import Balance, in_words
from app.domain.protocol import Protocol
from app.models.studies import Study
from app.services.money import PAID_BONUSES
from app.services.recruiting import alerts as recruiting_alerts
from app.services.rounds.rounds import is_over
from app.services.studies.status import StudyStatus

Level = Literal["bad", "warn", "info"]
QUIET_MINUTES = 15
LATEST = 200
"""So many sittings, the newest, are looked at."""
STUCK_SECONDS = 60
_MANY_EXCLUDED = 0.2
_ENOUGH_TO_TELL = 10


@dataclass(frozen=True)
class Alert:
    """`link` is the tab of the study where one can do something about it."""

    level: Level
    message: str
    link: str | None = None


# The latest sittings only: what went wrong long ago is known, and the cost does not grow with the study.
_FACTS = text(f"""
    WITH latest AS (
        SELECT id, state, created_at, completed_at, {PAID_BONUSES.format(assignment="a.id")} AS bonus FROM assignments a
        WHERE study_id = :study ORDER BY id DESC LIMIT :latest
    )
    SELECT extract(epoch FROM clock_timestamp() - greatest(r.opened_at, a.last)) AS silent_s,
           a.ended, a.excluded, a.minutes, a.bonus
    FROM rounds r, (
        SELECT max(greatest(created_at, completed_at)) AS last,
               count(*) FILTER (WHERE state <> 'active') AS ended,
               count(*) FILTER (WHERE EXISTS (SELECT FROM exclusions e WHERE e.assignment_id = latest.id
                                              AND e.reinstated_at IS NULL)) AS excluded,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - created_at) / 60)
                   AS minutes,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY bonus) FILTER (WHERE state = 'completed') AS bonus
        FROM latest
    ) a
    WHERE r.study_id = :study AND r.number = :round
""")


def alerts(
    session: Session, *, study: Study, status: StudyStatus, protocol: Protocol, balance: Balance | None
) -> list[Alert]:
    """The gravest first. `balance` is that of a study that recruits."""
    if status.status == "draft":
        return [] if status.items else [Alert("info", "This study has no items yet.", "/import")]
    facts = session.execute(_FACTS, {"study": study.id, "round": study.round, "latest": LATEST}).one()
    found = []
    if status.status == "collecting":
        if facts.silent_s > STUCK_SECONDS and is_over(session, study, rounds=protocol.rounds):
            found.append(Alert("bad", f"Round {study.round} is complete, but no worker has closed it. Is one running?"))
        elif facts.silent_s > QUIET_MINUTES * 60 and not status.participants_now:
            found.append(Alert("warn", f"Nobody has taken part for {duration(float(facts.silent_s) / 60)}."))
    found += _quality(facts.excluded, facts.ended) + _money(status, protocol, balance, facts.minutes, facts.bonus)
    if protocol.recruiting.recruiter != "direct":
        if balance is None and status.status != "closed":
            found.append(Alert("info", "Recruiting has not begun. An owner of this site begins it."))
        told = recruiting_alerts.unresolved(session, study.id)
        found += [Alert("bad" if notice.stops else "warn", notice.message) for notice in told]
    return sorted(found, key=lambda alert: ("bad", "warn", "info").index(alert.level))


def _quality(excluded: int, ended: int) -> list[Alert]:
    if ended < _ENOUGH_TO_TELL or excluded <= _MANY_EXCLUDED * ended:
        return []
    return [
        Alert("warn", f"Excluded: {excluded} of the latest {counted(ended, 'sitting')}.", "/assignments?which=excluded")
    ]


def _money(
    status: StudyStatus, protocol: Protocol, balance: Balance | None, minutes: float | None, bonus: int | None
) -> list[Alert]:
    """The budget as the ledger has it or, where nobody recruits, the rewards of who completed."""
    pay, found = protocol.pay, []
    balance = balance or Balance(pay.budget, committed=0, spent=pay.reward * status.assignments_completed, outside=0)
    if pay.reward and balance.reaches_last_tenth(0):
        found.append(Alert("warn" if balance.free else "bad", "The budget is nearly spent."))
    if pay.reward and minutes and status.assignments_completed >= _ENOUGH_TO_TELL:
        hourly = (pay.reward + int(bonus or 0)) * 60 / float(minutes)
        if hourly < pay.hourly_floor:
            real, floor = in_words(hourly, pay.currency), in_words(pay.hourly_floor, pay.currency)
            found.append(
                Alert("warn", f"People earn about {real} an hour, less than the {floor} you set as the floor.")
            )
    return found
