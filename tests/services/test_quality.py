"""Assessing sittings on a real database: what is found, what is done about it, and that it can be undone."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import BadInput, Conflict, NotFound
from app.keys import Keys
from app.models.assignments import Assignment, Exclusion, Judgment, Trial
from app.models.items import Item
from app.models.quality import Assessment
from app.queue import ASSESS
from app.recruiters.entry import Arrival
from app.services import study_lookup
from app.services.assignments import enrolment, judgments, lifecycle
from app.services.assignments.exclusions import exclude_by_hand, in_force, reinstate_by_hand
from app.services.assignments.judgments import Answer
from app.services.reports import quality_rules
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.assignments import TRIALS
from tests.support.factories import make_slug, make_study
from worker.tasks import make_worker_app

SITTING = {
    "assignment__trials": 12, "assignment__practice": 1, "assignment__sentinels": 4,
    "assignment__sentinel_misses_allowed": 1,
}  # fmt: skip
FIXED = SITTING | {"rounds": 1, "votes_per_round": 4, "min_votes": 4, "drop": "none"}

Respond = Callable[[Any], int]
"""The candidate that somebody chooses in any trial."""


def rightly(trial: Any) -> int:
    return int(trial.answer or 0)


def wrongly(trial: Any) -> int:
    return 1 - rightly(trial)


def sit(
    sessions: Sessions,
    keys: Keys,
    slug: str,
    person: str,
    respond: Respond,
    *,
    submission: str | None = None,
    **given: Any,
) -> int:
    """A whole sitting, with human response times unless others are given; returns the assignment's number."""
    with sessions.begin() as session:
        arrival = Arrival("direct", participant=person, submission=submission or person)
        token = enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival).token
        answers = [
            Answer(
                trial.trial,
                ("left" if respond(trial) == trial.left_candidate else "right",),
                **{"rt_ms": random.Random(trial.trial).lognormvariate(7, 0.5), "timing": {}} | given,
            )
            for trial in session.execute(TRIALS, {"token": token})
        ]
        judgments.record(session, token=token, answers=answers)
        return lifecycle.complete(session, token=token).id


def assess(sessions: Sessions, assignment_id: int) -> Assessment:
    with sessions.begin() as session:
        quality_rules.assess(session, assignment_id=assignment_id)
    with sessions() as session:
        return session.get_one(Assessment, assignment_id)


def votes(session: Session, slug: str) -> list[tuple[int, int]]:
    study = study_lookup.by_slug(session, slug).id
    pool = select(Item).where(Item.study_id == study, Item.role == "pool").order_by(Item.id)
    return [(item.votes_0, item.votes_1) for item in session.scalars(pool)]


def test_failed_sentinels_exclude_and_a_reinstatement_stands(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=20, **FIXED)
    careful, careless = (sit(sessions, keys, slug, f"{slug}-{name}", name) for name in (rightly, wrongly))
    found = assess(sessions, careful)
    assert (found.findings, found.signals["sentinel_misses"]) == ([], {"count": 0, "of": 4})
    sentence = "Missed 4 of 4 attention checks; 1 may be missed."
    assert assess(sessions, careless).findings == [{"name": "sentinel_misses", "sentence": sentence, "sittings": 1}]
    with sessions.begin() as session:
        exclusion = in_force(session, careless)
        assert exclusion is not None
        assert (exclusion.reason, exclusion.excluded_by) == (sentence, "rules")
        assert in_force(session, careful) is None
        assert session.get_one(Assignment, careless).state == "completed", "paying is another decision"
        assert sum(ones for _, ones in votes(session, slug)) == 0
        reinstate_by_hand(session, assignment_id=careless, reason="a broken screen", actor="test")
    assess(sessions, careless)
    with sessions() as session:
        assert in_force(session, careless) is None
        assert sum(ones for _, ones in votes(session, slug)) == 12


def test_propose_leaves_it_to_the_researcher(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=20, quality__failed_sentinels="propose", **FIXED)
    careless = sit(sessions, keys, slug, slug, wrongly)
    assert [finding["name"] for finding in assess(sessions, careless).findings] == ["sentinel_misses"]
    with sessions() as session:
        assert in_force(session, careless) is None


def test_every_other_finding_only_proposes(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=20, quality__fewest_answers=5, **FIXED)
    hasty = sit(sessions, keys, slug, slug, rightly, rt_ms=90.0, timing=None)
    names = [finding["name"] for finding in assess(sessions, hasty).findings]
    assert names == ["fast_answers", "repeated_times", "constant_times", "suspect_records"]
    with sessions() as session:
        assert in_force(session, hasty) is None


def test_agreement_is_with_the_other_peoples_valid_votes(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Leave-one-out, by brute force, for every sitting of a study, with one excluded and some votes late."""
    slug = make_study(sessions, storage, items=14, **FIXED | {"votes_per_round": 6, "min_votes": 6})
    rng = random.Random(3)

    def at_random(trial: Any) -> int:
        return rng.getrandbits(1) if trial.answer is None else trial.answer

    people = [sit(sessions, keys, slug, f"{slug}-{number}", at_random) for number in range(6)]
    with sessions.begin() as session:
        exclude_by_hand(session, assignment_id=people[0], reason="looked odd", actor="test")
        late = "UPDATE judgments j SET late = true FROM trials t WHERE t.id = j.trial_id AND t.slot_id % 5 = 0"
        session.execute(text(late + " AND t.assignment_id = ANY(:people)"), {"people": people})
    with sessions() as session:
        study = study_lookup.by_slug(session, slug).id
        votes = (
            select(Trial.assignment_id, Trial.item_id, Judgment.choice, Judgment.late)
            .join_from(Judgment, Trial)
            .where(Trial.assignment_id.in_(people), Trial.slot_id.is_not(None))
        )
        rows = session.execute(votes).all()
        found = {
            sitting.assignment_id: sitting.signals for sitting in quality_rules.assess_study(session, study_id=study)
        }
    assert sorted(found) == sorted(people)
    for person in people:
        agreed = compared = 0
        for own in rows:
            others = [
                row.choice
                for row in rows
                if row.item_id == own.item_id and row.assignment_id not in (person, people[0]) and not row.late
            ]
            if own.assignment_id == person and others.count(0) != others.count(1):
                compared += 1
                agreed += own.choice == int(others.count(1) > others.count(0))
        agreement = found[person].agreement
        assert (agreement.agreed.count, agreement.agreed.of) == (agreed, compared) if agreement else compared < 10


def test_what_several_sittings_of_a_person_show_together(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Ten of ten on the left happens to one person in five hundred; thirty of thirty to nobody."""
    none = {"assignment__practice": 0, "assignment__sentinels": 0, "assignment__sentinel_misses_allowed": 0}
    slug = make_study(sessions, storage, items=40, **FIXED | none | {"assignment__trials": 10})
    sittings = [
        sit(sessions, keys, slug, slug, lambda trial: trial.left_candidate, submission=f"{slug}-{number}")
        for number in range(3)
    ]
    assert assess(sessions, sittings[0]).findings == assess(sessions, sittings[0]).findings
    (finding,) = assess(sessions, sittings[2]).findings
    assert (finding["name"], finding["sittings"]) == ("side_bias", 3)
    assert finding["sentence"].startswith("Chose the left image in 30 of 30 trials")
    with sessions() as session:
        study = study_lookup.by_slug(session, slug).id
        for assessed in quality_rules.assess_study(session, study_id=study):
            assert (assessed.findings, [found.name for found in assessed.of_person]) == ([], ["side_bias"])


def test_an_ended_assignment_is_assessed_by_the_worker(
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    database_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job exists as soon as the end is committed, and what no job was done for is swept up."""
    monkeypatch.setattr(quality_rules, "SWEEP", 1_000_000)  # other tests leave sittings unassessed, and those are older
    slug = make_study(sessions, storage, items=30, **FIXED)
    completed = sit(sessions, keys, slug, f"{slug}-1", rightly)
    with sessions.begin() as session:
        arrival = Arrival("direct", participant=slug, submission=slug)
        enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug).id
        left = session.scalars(
            select(Assignment).where(Assignment.study_id == study, Assignment.state == "active")
        ).one()
        lifecycle.expire(session, left)
        expired = left.id
    worker = make_worker_app(database_url, sessions, settings)
    with sessions() as session:
        jobs = text("SELECT args FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo'")
        waiting = [args["assignment_id"] for args in session.scalars(jobs, {"name": ASSESS})]
        assert {completed, expired} <= set(waiting) & set(quality_rules.unassessed_ids(session))
    worker.tasks[ASSESS](assignment_id=completed)
    worker.tasks[ASSESS](assignment_id=expired)
    with sessions() as session:
        assert not {completed, expired} & set(quality_rules.unassessed_ids(session))
        assert session.get_one(Assessment, expired).findings == []


BY_HAND: dict[str, tuple[list[str], type[Exception], str]] = {
    "excluding twice": (["exclude", "exclude"], Conflict, "is excluded already, since 20.* by test: looked odd"),
    "reinstating what was never excluded": (["reinstate"], Conflict, "is not excluded, so there is nothing"),
    "reinstating twice": (["exclude", "reinstate", "reinstate"], Conflict, "is not excluded"),
    "reinstating the withdrawn": (["withdraw", "reinstate"], Conflict, "was withdrawn by the participant"),
    "excluding the withdrawn": (["withdraw", "exclude"], Conflict, "withdrawn by the participant"),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_decisions_that_cannot_be(sessions: Sessions, storage: LocalStorage, keys: Keys, case: str) -> None:
    steps, error, complaint = BY_HAND[case]
    slug = make_study(sessions, storage, items=14, **FIXED)
    with sessions.begin() as session:
        arrival = Arrival("direct", participant=slug, submission=slug)
        token = enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, slug), arrival=arrival).token
        number = lifecycle.by_token(session, token).id
    *before, last = steps
    with sessions.begin() as session:
        for step in before:
            decide(session, step, number, token)
    with sessions.begin() as session:
        known = session.scalars(select(Exclusion).where(Exclusion.assignment_id == number)).all()
        with pytest.raises(error, match=complaint):
            decide(session, last, number, token)
        assert session.scalars(select(Exclusion).where(Exclusion.assignment_id == number)).all() == known


def decide(session: Session, step: str, number: int, token: str) -> None:
    if step == "withdraw":
        lifecycle.withdraw(session, token=token)
    else:
        by_hand = exclude_by_hand if step == "exclude" else reinstate_by_hand
        by_hand(session, assignment_id=number, reason="looked odd", actor="test")


def test_a_decision_needs_an_assignment_and_a_reason(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    number = sit(sessions, keys, make_study(sessions, storage, items=14, **FIXED), make_slug(), rightly)
    for by_hand in (exclude_by_hand, reinstate_by_hand):
        with sessions() as session, pytest.raises(NotFound, match="There is no assignment 123456789"):
            by_hand(session, assignment_id=123456789, reason="x", actor="test")
        with sessions() as session, pytest.raises(BadInput, match="Say why"):
            by_hand(session, assignment_id=number, reason=" ", actor="test")
