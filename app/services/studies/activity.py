"""How fast votes come in, and what they say."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.models.studies import Study


@dataclass(frozen=True)
class MinuteOfVotes:
    minute: datetime
    votes: int


# Only sittings that may have had a vote within the hour are looked into, so the cost is that of an hour's work; one by
# one (OFFSET 0), as the planner takes them for many.
_HOUR = text("""
    WITH last AS (
        SELECT least(clock_timestamp(), max(coalesce(completed_at, deadline))) AS at
        FROM assignments WHERE study_id = :study
    ), votes AS (
        SELECT date_trunc('minute', received_at) AS minute, count(*) AS votes
        FROM last, assignments a CROSS JOIN LATERAL (
            SELECT j.received_at FROM trials t JOIN judgments j ON j.trial_id = t.id
            WHERE t.assignment_id = a.id AND j.slot_id IS NOT NULL AND j.question = 0
              AND j.received_at > last.at - interval '1 hour'
            OFFSET 0
        ) votes
        WHERE a.study_id = :study AND coalesce(a.completed_at, a.deadline) > last.at - interval '1 hour'
        GROUP BY 1
    )
    SELECT minute, coalesce(votes, 0) AS votes
    FROM last, generate_series(date_trunc('minute', last.at - interval '1 hour') + interval '1 minute',
                               date_trunc('minute', last.at), interval '1 minute') AS minute
    LEFT JOIN votes USING (minute)
    ORDER BY minute
""")


def votes_by_minute(session: Session, study: Study) -> list[MinuteOfVotes]:
    """The last hour in which the study was worked on, minute by minute; empty before the first sitting."""
    return [MinuteOfVotes(row.minute, row.votes) for row in session.execute(_HOUR, {"study": study.id})]


SHARES = 10
"""Into so many equal parts the shares from 0 to 1 are divided."""

_SHARES = text("""
    SELECT least(floor(votes_1 * CAST(:parts AS float) / (votes_0 + votes_1)), :parts - 1) AS part,
           CAST(sum(items) AS int) AS items
    FROM pool_tallies WHERE study_id = :study AND votes_0 + votes_1 > 0
    GROUP BY part
""")


def items_by_share(session: Session, study: Study) -> list[int]:
    """How many items have which share of their votes for candidate 1, or for "different" of their first pair in JND:
    from the least share to the largest."""
    items = {int(row.part): row.items for row in session.execute(_SHARES, {"study": study.id, "parts": SHARES})}
    return [items.get(part, 0) for part in range(SHARES)]
