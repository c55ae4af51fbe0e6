"""After erasure no trace of a recruiter's id is left, and the kept set is what it would be without the person."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import Erased, NotFound
from app.keys import Keys
from app.models.assignments import Assignment, Judgment, Trial
from app.models.items import Item
from app.models.people import Identity, Participant
from app.models.quality import Assessment
from app.models.studies import Study
from app.services import study_lookup
from app.services.assignments import erasure, lifecycle
from app.services.reports import quality_rules
from app.services.studies import lifecycle as study_lifecycle
from app.storage import LocalStorage
from tests.support.assignments import answer, sign_up, sit
from tests.support.factories import make_study

WHO = "ada.lovelace@example.org"


def choose(item: object) -> int:
    return 0


def dissent(item: object) -> int:
    return 1


def everything(sessions: Sessions) -> str:
    """Every row of every table, as text."""
    with sessions() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        rows = [row for table in tables for row in session.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" t'))]
    return "\n".join(rows)


def pseudonym_of(sessions: Sessions, slug: str) -> str:
    with sessions() as session:
        return session.scalars(
            select(Participant.pseudonym)
            .join(Assignment, Assignment.participant_id == Participant.id)
            .join(Study, Study.id == Assignment.study_id)
            .where(Study.slug == slug)
            .order_by(Assignment.id.desc())
            .limit(1)
        ).one()


def sitting_of(session: Session, pseudonym: str) -> Assignment:
    return session.scalars(select(Assignment).join(Participant).where(Participant.pseudonym == pseudonym)).one()


def test_erasure(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=40, rounds=2, min_votes=1, assignment__trials=12)
    sit(sessions, keys, slug, f"{slug}-somebody", choose)
    who = f"{slug}-{WHO}"
    sit(sessions, keys, slug, who, dissent)
    pseudonym = pseudonym_of(sessions, slug)
    with sessions.begin() as session:
        quality_rules.assess(session, assignment_id=sitting_of(session, pseudonym).id)
        assert erasure.find(session, keys, recruiter="direct", participant=who) == pseudonym
        theirs = erasure.personal_data(session, keys, pseudonym=pseudonym)
        whole = json.dumps(theirs.sittings, default=str)
        assert {told["id"] for told in theirs.recruiter_ids} == {who}
        assert len(theirs.sittings[0]["judgments"]) == 27
        assert "Taking part is voluntary" in whole
        assert theirs.sittings[0]["assessment"]["findings"] is not None
    with sessions.begin() as session:
        erased = erasure.erase(session, pseudonym=pseudonym)
        assert (erased.judgments, erased.studies, erased.exports) == (27, [slug], [])
        assert erasure.erase(session, pseudonym=pseudonym).judgments == 0
    rest = everything(sessions)
    assert WHO not in rest
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        left = session.scalar(
            select(func.count())
            .select_from(Judgment)
            .join(Trial, Trial.id == Judgment.trial_id)
            .join(Participant, Participant.id == Trial.participant_id)
            .where(Participant.pseudonym == pseudonym)
        )
        assert left == 0
        votes = session.execute(
            select(func.sum(Item.votes_0), func.sum(Item.votes_1)).where(Item.study_id == study.id)
        ).one()
        assert tuple(votes) == (12, 0), "as if they had never been here"
        gone = erasure.personal_data(session, keys, pseudonym=pseudonym)
        assert gone.recruiter_ids == []
        assert (gone.sittings[0]["judgments"], gone.sittings[0]["assessment"]) == ([], None)
    # They are known by the hash of their name: whatever they come back for, they see no item twice.
    token = sign_up(sessions, keys, slug, who)
    with sessions() as session, pytest.raises(Erased):
        lifecycle.by_token(session, token)
    again = make_study(sessions, storage, items=40, assignment__trials=12)
    sit(sessions, keys, again, who, choose)
    with sessions() as session, pytest.raises(NotFound, match="Nobody here"):
        erasure.erase(session, pseudonym="pnobody")


def test_somebody_in_the_middle_of_a_sitting_is_erased(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=40, assignment__trials=12)
    token = sign_up(sessions, keys, slug, f"{slug}-ada")
    answer(sessions, token, choose, most=3)
    with sessions.begin() as session:
        erasure.erase(session, pseudonym=pseudonym_of(sessions, slug))
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        theirs = session.scalars(select(Assignment).where(Assignment.study_id == study.id)).one()
        assert theirs.state == "expired"
        quality_rules.assess(session, assignment_id=theirs.id)
        assert session.get(Assessment, theirs.id) is None
        wanted = session.scalars(
            text("SELECT count(*) FROM slots WHERE study_id = :s AND state = 'open'"), {"s": study.id}
        ).one()
        assert wanted == 40


def test_ids_are_kept_for_as_long_as_the_study_says(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slugs = [
        make_study(sessions, storage, items=40, assignment__trials=5, people__retention_days=days) for days in (10, 30)
    ]
    for slug in slugs:
        sign_up(sessions, keys, slug, f"{slug}-ada")
    with sessions.begin() as session:
        for slug in slugs:
            study_lifecycle.close(session, slug=slug)
        ended = func.clock_timestamp() - timedelta(days=20)
        session.execute(update(Study).where(Study.slug.in_(slugs)).values(closed_at=ended))
    with sessions.begin() as session:
        erasure.forget_overdue(session)
    with sessions() as session:
        kept = [
            session.scalars(
                select(func.count(Identity.ciphertext))
                .join(Assignment, Assignment.participant_id == Identity.participant_id)
                .where(Assignment.study_id == study_lookup.by_slug(session, slug).id)
            ).one()
            for slug in slugs
        ]
    assert kept == [0, 2]
