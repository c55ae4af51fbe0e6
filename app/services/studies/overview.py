"""The studies somebody may see, each at a glance."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.models.accounts import Account
from app.models.studies import Study
from app.services.accounts import members
from app.services.rounds import tallies
from app.services.rounds.tallies import Cell
from app.services.study_lookup import status_word


@dataclass(frozen=True)
class StudyGlance:
    """`progress` is the share of the way through the rounds, 0 to 1; without a filter every item survives."""

    slug: str
    title: str
    kind: str
    status: str
    round: int
    rounds: int
    progress: float
    has_filter: bool
    items: int
    survivors: int
    participants_now: int
    completed: int
    created_at: datetime


_PROTOCOLS = text("""
    SELECT DISTINCT ON (study_id) study_id, document ->> 'title' AS title, document ->> 'kind' AS kind,
           document ->> 'drop' AS drop, CAST(document ->> 'rounds' AS int) AS rounds,
           CAST(document ->> 'votes_per_round' AS int) AS votes_per_round
    FROM protocol_versions WHERE study_id = ANY(:studies) ORDER BY study_id, version DESC
""")


def glances(session: Session, *, account: Account, archived: bool = False) -> list[StudyGlance]:
    """The newest study first; those in use, or the archived ones."""
    everything = members.visible_studies(session, account=account)
    visible = [study for study in everything if (study.archived_at is not None) == archived]
    ids = [study.id for study in visible]
    protocols = {row.study_id: row for row in session.execute(_PROTOCOLS, {"studies": ids})}
    pools, sittings = tallies.pools(session, ids), tallies.assignments(session, ids)
    return [_glance(study, protocols[study.id], pools[study.id], sittings[study.id]) for study in visible]


def _glance(study: Study, protocol: Row[Any], pool: list[Cell], sittings: dict[str, int]) -> StudyGlance:
    survivors = tallies.survivors(pool)
    return StudyGlance(
        slug=study.slug,
        title=protocol.title,
        kind=protocol.kind,
        status=status_word(study),
        round=study.round,
        rounds=protocol.rounds,
        progress=_progress(study, protocol, pool, survivors),
        has_filter=protocol.drop != "none",
        items=tallies.items(pool),
        survivors=survivors,
        participants_now=sittings.get("active", 0),
        completed=sittings.get("completed", 0),
        created_at=study.created_at,
    )


def _progress(study: Study, protocol: Row[Any], pool: list[Cell], survivors: int) -> float:
    if study.finished_at is not None:
        return 1.0
    if study.round == 0:
        return 0.0
    each = protocol.votes_per_round
    wanted = sum(tallies.wanted_in(cell, study.round, each, round_=study.round, drop=protocol.drop) for cell in pool)
    return float((study.round - wanted / max(survivors * each, 1)) / protocol.rounds)
