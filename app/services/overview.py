"""The studies somebody may see, each at a glance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.models.accounts import Account
from app.models.studies import Study
from app.services import members
from app.services.studies import status_word


@dataclass(frozen=True)
class StudyGlance:
    """`progress` is the share of the way through the rounds, 0 to 1."""

    slug: str
    title: str
    kind: str
    status: str
    round: int
    rounds: int
    progress: float
    items: int
    survivors: int
    participants_now: int
    completed: int
    created_at: datetime


_GLANCES = text("""
    SELECT s.id, p.document ->> 'title' AS title, p.document ->> 'kind' AS kind,
           CAST(p.document ->> 'rounds' AS int) AS rounds,
           i.items, i.survivors, a.now, a.completed, w.wanted
    FROM studies s
    CROSS JOIN LATERAL (SELECT document FROM protocol_versions v WHERE v.study_id = s.id
                        ORDER BY v.version DESC LIMIT 1) p
    CROSS JOIN LATERAL (SELECT count(*) AS items, count(*) FILTER (WHERE dropped_round IS NULL) AS survivors
                        FROM items WHERE study_id = s.id AND role = 'pool') i
    CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE state = 'active') AS now,
                               count(*) FILTER (WHERE state = 'completed') AS completed
                        FROM assignments WHERE study_id = s.id) a
    CROSS JOIN LATERAL (SELECT count(*) AS wanted FROM slots
                        WHERE study_id = s.id AND NOT make_up AND state IN ('open', 'leased')) w
    WHERE s.id = ANY(:studies)
""")


def glances(session: Session, *, account: Account, archived: bool = False) -> list[StudyGlance]:
    """The newest study first; those in use, or the archived ones."""
    everything = members.visible_studies(session, account=account)
    visible = [study for study in everything if (study.archived_at is not None) == archived]
    rows = {row.id: row for row in session.execute(_GLANCES, {"studies": [study.id for study in visible]})}
    return [
        StudyGlance(
            slug=study.slug,
            title=rows[study.id].title,
            kind=rows[study.id].kind,
            status=status_word(study),
            round=study.round,
            rounds=rows[study.id].rounds,
            progress=_progress(study, rows[study.id]),
            items=rows[study.id].items,
            survivors=rows[study.id].survivors,
            participants_now=rows[study.id].now,
            completed=rows[study.id].completed,
            created_at=study.created_at,
        )
        for study in visible
    ]


def _progress(study: Study, row: Row[Any]) -> float:
    if study.finished_at is not None:
        return 1.0
    if study.round == 0:
        return 0.0
    still_open = min(1.0, row.wanted / max(row.survivors, 1))
    return float((study.round - still_open) / row.rounds)
