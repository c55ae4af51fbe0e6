"""Assessing sittings: their signals from the database, the rules applied, failed sentinels acted upon."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.devices import Devices, Sitting, describe
from app.domain.protocol import Protocol
from app.domain.quality import Answered, Signals, signals
from app.domain.quality_rules import FAILED_SENTINELS, Finding, verdict
from app.models.assignments import Assignment
from app.models.quality import Assessment
from app.services.assignments import exclusions
from app.services.assignments.people import ERASED, is_erased
from app.services.rounds.outcomes import valid_answer
from app.services.study_lookup import all_versions, protocol_version

RULES = "rules"
"""Who excluded, where nobody did by hand."""
SWEEP = 200
"""So many overdue assessments are made up for at a time."""


@dataclass(frozen=True)
class Assessed:
    """One sitting as it stands. `findings` are about it alone; `of_person` are further ones that appear only in all
    the `sittings` of the participant together."""

    assignment_id: int
    signals: Signals
    findings: list[Finding]
    sittings: int = 1
    of_person: tuple[Finding, ...] = ()


def assess(session: Session, *, assignment_id: int) -> None:
    """Assess an assignment that has ended, store what was found, and exclude it if its sentinels failed and the
    protocol says so. Whatever was once decided about it stands, so a repeat excludes nobody who was reinstated. Of
    people who were erased nothing is kept.

    Raises:
        NotFound: no such assignment.
    """
    assignment = exclusions.by_id(session, assignment_id)
    if is_erased(session, assignment_id):
        return
    found = _assess_one(session, assignment)
    values = {"signals": asdict(found.signals), "findings": _as_json(found), "assessed_at": func.clock_timestamp()}
    session.execute(
        insert(Assessment)
        .values(assignment_id=assignment_id, **values)
        .on_conflict_do_update(index_elements=["assignment_id"], set_=values)
    )
    protocol = protocol_version(session, assignment.study_id, assignment.protocol_version)
    failed = [finding.sentence for finding in found.findings if finding.name in FAILED_SENTINELS]
    if failed and protocol.quality.failed_sentinels == "exclude" and not exclusions.was_decided(session, assignment_id):
        exclusions.exclude(session, assignment=assignment, reason=" ".join(failed), actor=RULES)


def assess_study(session: Session, *, study_id: int) -> Iterator[Assessed]:
    """Every sitting with an answer, as it stands with all the votes there are now; one participant after the other."""
    return _assess(session, study_id=study_id, participant_id=None)


def unassessed_ids(session: Session) -> list[int]:
    """Assignments that have ended, or were completed after all, and were not assessed since."""
    return list(
        session.scalars(
            select(Assignment.id)
            .outerjoin(Assessment)
            .where(
                text("NOT " + ERASED.format(assignment="assignments.id")),
                Assignment.state.in_(("completed", "expired")),
                Assessment.assignment_id.is_(None) | (Assessment.assessed_at < Assignment.completed_at),
            )
            .order_by(Assignment.id)
            .limit(SWEEP)
        )
    )


# A vote is compared with the valid votes of others: all of them, less its own if that is among them.
_ANSWERS = text(f"""
    WITH answered AS (
        SELECT a.participant_id, a.id AS assignment_id, a.protocol_version, t.item_id, t.position, t.left_candidate,
               i.role, CASE j.question WHEN 0 THEN i.answer ELSE i.answer_1 END AS answer,
               j.question, j.choice, j.rt_ms, j.timing, j.suspect, {valid_answer()} AS is_valid
        FROM assignments a JOIN trials t ON t.assignment_id = a.id
        JOIN judgments j ON j.trial_id = t.id JOIN items i ON i.id = t.item_id
        WHERE a.study_id = :study AND (CAST(:participant AS bigint) IS NULL OR a.participant_id = :participant)
    ), votes AS (
        SELECT t.item_id, j.question, j.choice, count(*) AS votes
        FROM judgments j JOIN trials t ON t.id = j.trial_id
        WHERE t.item_id IN (SELECT item_id FROM answered WHERE role = 'pool') AND {valid_answer()}
        GROUP BY t.item_id, j.question, j.choice
    )
    SELECT answered.*,
           coalesce(zeros.votes, 0) - CAST(is_valid AND answered.choice = 0 AS int) AS others_0,
           coalesce(ones.votes, 0) - CAST(is_valid AND answered.choice = 1 AS int) AS others_1
    FROM answered
    LEFT JOIN votes zeros ON (zeros.item_id, zeros.question, zeros.choice) = (answered.item_id, answered.question, 0)
    LEFT JOIN votes ones ON (ones.item_id, ones.question, ones.choice) = (answered.item_id, answered.question, 1)
    ORDER BY participant_id, assignment_id, position, answered.question
""")

_SITTINGS = text("""
    SELECT id, participant_id, environment, created_at,
           coalesce(completed_at, least(deadline, clock_timestamp())) AS ended_at
    FROM assignments WHERE study_id = :study AND environment IS NOT NULL
""")


def _assess_one(session: Session, assignment: Assignment) -> Assessed:
    of_person = _assess(session, study_id=assignment.study_id, participant_id=assignment.participant_id)
    by_id = {found.assignment_id: found for found in of_person}
    return by_id.get(assignment.id) or Assessed(assignment.id, signals([]), [])


def _assess(session: Session, *, study_id: int, participant_id: int | None) -> Iterator[Assessed]:
    protocols = all_versions(session, study_id)
    sittings = _sittings(session, study_id)
    devices = Devices(list(sittings.values()))
    rows = session.execute(
        _ANSWERS, {"study": study_id, "participant": participant_id}, execution_options={"yield_per": 1000}
    )
    for _, persons in groupby(rows, key=lambda row: row.participant_id):
        found, everything = [], list[Answered]()
        for assignment_id, group in groupby(persons, key=lambda row: row.assignment_id):
            judged = list(group)
            protocol = protocols[judged[0].protocol_version]
            answers = [_answered(row, protocol) for row in judged]
            sitting = sittings.get(assignment_id)
            seen = signals(answers, same_device=devices.compare(sitting) if sitting else None)
            found.append(Assessed(assignment_id, seen, verdict(seen, protocol.quality_rules)))
            everything += answers
        yield from _with_person(found, everything, protocol) if len(found) > 1 else found


def _with_person(found: list[Assessed], everything: list[Answered], protocol: Protocol) -> Iterator[Assessed]:
    """The sittings of one participant, each with what they show together beyond what it shows alone."""
    together = verdict(signals(everything), protocol.quality_rules.for_sittings(len(found)))
    for sitting in found:
        known = {finding.name for finding in sitting.findings}
        further = tuple(finding for finding in together if finding.name not in known)
        yield Assessed(sitting.assignment_id, sitting.signals, sitting.findings, len(found), further)


def _answered(row: Row[Any], protocol: Protocol) -> Answered:
    return Answered(
        kind=protocol.kind,
        role=row.role,
        choice=row.choice,
        answer=row.answer,
        left_candidate=row.left_candidate if protocol.kind == "2afc" else None,
        question=row.question,
        rt_ms=row.rt_ms,
        timing=row.timing,
        suspect=row.suspect,
        others=(row.others_0, row.others_1),
    )


def _sittings(session: Session, study_id: int) -> dict[int, Sitting]:
    return {
        row.id: Sitting(row.participant_id, row.created_at, row.ended_at, describe(row.environment))
        for row in session.execute(_SITTINGS, {"study": study_id})
    }


def _as_json(found: Assessed) -> list[dict[str, Any]]:
    alone = [asdict(finding) | {"sittings": 1} for finding in found.findings]
    return alone + [asdict(finding) | {"sittings": found.sittings} for finding in found.of_person]
