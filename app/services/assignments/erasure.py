"""People's rights over their data: to see it, to have it deleted, to have it forgotten in time."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.keys import Keys
from app.models.assignments import Assignment
from app.models.money import OWED
from app.models.people import Identity, Participant
from app.models.quality import Report
from app.recruiters.entry import Arrival
from app.services import audit
from app.services.assignments import lifecycle
from app.services.assignments.people import known_participant
from app.services.rounds.rounds import lock_study, recompute_items


@dataclass(frozen=True)
class Erasure:
    """What was deleted. `exports` ("study version") were written before and may hold the pseudonym: they are files,
    for their owner to delete."""

    pseudonym: str
    judgments: int
    studies: list[str]
    exports: list[str]


def by_pseudonym(session: Session, pseudonym: str, *, lock: bool = False) -> Participant:
    """Raises NotFound."""
    wanted = select(Participant).where(Participant.pseudonym == pseudonym)
    participant = session.scalar(wanted.with_for_update(key_share=True) if lock else wanted)
    if participant is None:
        raise NotFound(f"Nobody here is called {pseudonym!r}.")
    return participant


def find(session: Session, keys: Keys, *, recruiter: str, participant: str) -> str:
    """The pseudonym of a recruiter's participant. Raises NotFound."""
    known = known_participant(session, keys, Arrival(recruiter, participant=participant, submission=participant))
    if known is None:
        raise NotFound("Nobody of that id was ever here.")
    return session.get_one(Participant, known).pseudonym


_ANSWERS = text("""
    DELETE FROM judgments j USING trials t WHERE t.id = j.trial_id AND t.participant_id = :participant
    RETURNING j.id
""")
_FINDINGS = text("""
    DELETE FROM assessments USING assignments a WHERE a.id = assignment_id AND a.participant_id = :participant
""")
_ATTEMPTS = text("DELETE FROM aborts b USING trials t WHERE t.id = b.trial_id AND t.participant_id = :participant")
_JUDGED_ITEMS = text("""
    SELECT DISTINCT t.item_id FROM trials t JOIN assignments a ON a.id = t.assignment_id
    WHERE t.participant_id = :participant AND a.study_id = :study AND t.slot_id IS NOT NULL ORDER BY t.item_id
""")
_EXPORTS = text("""
    SELECT s.slug || ' version ' || e.version FROM exports e JOIN studies s ON s.id = e.study_id
    WHERE e.created_at > (SELECT min(created_at) FROM assignments a
                          WHERE a.participant_id = :participant AND a.study_id = e.study_id)
    ORDER BY e.id
""")


def erase(session: Session, *, pseudonym: str) -> Erasure:
    """Delete who the person is and what they answered; the items they judged are recomputed.

    What stays says nothing about them: which items they have seen and the keyed hash of their id, so that nobody judges
    twice, and what was paid. Reports of their studies go, since they say how each sitting went; they can be made anew.
    Who comes back is a person like any other, and can be erased again.

    Raises:
        NotFound: no such participant.
    """
    participant = by_pseudonym(session, pseudonym, lock=True)
    whose = {"participant": participant.id}
    sittings = session.scalars(
        select(Assignment)
        .where(Assignment.participant_id == participant.id)
        .order_by(Assignment.id)
        .with_for_update(key_share=True)
    ).all()
    concerned = [lock_study(session, study_id) for study_id in sorted({sitting.study_id for sitting in sittings})]
    for sitting in sittings:
        sitting.environment = None
        if sitting.state == "active":
            lifecycle.expire(session, sitting)
    exports = list(session.scalars(_EXPORTS, whose))
    answers = session.execute(_ANSWERS, whose).all()
    session.execute(_ATTEMPTS, whose)
    session.execute(_FINDINGS, whose)
    session.execute(update(Identity).where(Identity.participant_id == participant.id).values(ciphertext=None))
    session.execute(delete(Report).where(Report.study_id.in_([study.id for study in concerned])))
    participant.erased_at = func.clock_timestamp()
    session.flush()
    for study in concerned:
        items = list(session.scalars(_JUDGED_ITEMS, whose | {"study": study.id}))
        recompute_items(session, study=study, item_ids=items)
        audit.record(session, "erased a participant", study=study)
    return Erasure(pseudonym, judgments=len(answers), studies=[study.slug for study in concerned], exports=exports)


@dataclass(frozen=True)
class PersonalData:
    """Everything kept about a person, for that person. `recruiter_ids` are empty once erased or out of retention."""

    pseudonym: str
    first_seen: datetime
    erased_at: datetime | None
    recruiter_ids: list[dict[str, str]]
    sittings: list[dict[str, Any]] = field(default_factory=list)


_SITTINGS = text("""
    SELECT s.slug AS study, a.id AS assignment, a.recruiter, a.state, a.created_at, a.completed_at, a.consented_at,
           v.document ->> 'consent' AS consent, a.environment, sub.status AS submission,
           (SELECT l.spent FROM ledger l WHERE l.submission_id = sub.id) AS reward_with_fees,
           (SELECT coalesce(json_agg(json_build_object('amount', b.amount, 'reason', b.reason)), '[]')
            FROM bonuses b WHERE b.assignment_id = a.id AND NOT b.cancelled) AS bonuses,
           (SELECT coalesce(json_agg(json_build_object('reason', e.reason, 'at', e.excluded_at)), '[]')
            FROM exclusions e WHERE e.assignment_id = a.id) AS exclusions,
           (SELECT json_build_object('signals', q.signals, 'findings', q.findings, 'at', q.assessed_at)
            FROM assessments q WHERE q.assignment_id = a.id) AS assessment,
           (SELECT b.reason FROM blocks b
            WHERE b.study_id = a.study_id AND b.participant_id = a.participant_id) AS blocked,
           (SELECT coalesce(json_agg(json_build_object(
                'item', t.item_id, 'choice', j.choice, 'side', CASE WHEN j.choice = t.left_candidate THEN 'left'
                ELSE 'right' END, 'input', j.input, 'rt_ms', j.rt_ms, 'timing', j.timing, 'received_at', j.received_at
            ) ORDER BY j.id), '[]')
            FROM judgments j JOIN trials t ON t.id = j.trial_id WHERE t.assignment_id = a.id) AS judgments
    FROM assignments a JOIN studies s ON s.id = a.study_id
    JOIN protocol_versions v ON v.study_id = a.study_id AND v.version = a.consent_version
    LEFT JOIN submissions sub ON sub.assignment_id = a.id
    WHERE a.participant_id = :participant ORDER BY a.id
""")


def personal_data(session: Session, keys: Keys, *, pseudonym: str) -> PersonalData:
    """Raises NotFound."""
    participant = by_pseudonym(session, pseudonym)
    identities = session.scalars(
        select(Identity).where(Identity.participant_id == participant.id).order_by(Identity.id)
    )
    return PersonalData(
        pseudonym=pseudonym,
        first_seen=participant.created_at,
        erased_at=participant.erased_at,
        recruiter_ids=[
            {"recruiter": identity.recruiter, "kind": identity.kind, "id": keys.decrypt(identity.ciphertext)}
            for identity in identities
            if identity.ciphertext is not None
        ],
        sittings=[dict(row._mapping) for row in session.execute(_SITTINGS, {"participant": participant.id})],
    )


_FORGET = text(f"""
    WITH over AS (
        SELECT s.id FROM studies s
        JOIN LATERAL (SELECT document FROM protocol_versions v WHERE v.study_id = s.id ORDER BY version DESC LIMIT 1) p
             ON true
        WHERE coalesce(s.closed_at, s.finished_at) < clock_timestamp() - make_interval(
                  days => CAST(coalesce(p.document #>> '{{people,retention_days}}', '90') AS int))
          AND NOT EXISTS (SELECT FROM recruitments r WHERE r.study_id = s.id AND (r.settled_at IS NULL OR EXISTS (
              SELECT FROM bonus_batches b WHERE b.recruitment_id = r.id AND b.state IN {OWED})))
    )
    UPDATE identities i SET ciphertext = NULL
    WHERE i.ciphertext IS NOT NULL AND NOT EXISTS (
        SELECT FROM assignments a
        WHERE a.study_id NOT IN (SELECT id FROM over)
          AND CASE i.kind WHEN 'submission' THEN a.id = i.assignment_id ELSE a.participant_id = i.participant_id END
    ) AND EXISTS (SELECT FROM assignments a WHERE a.participant_id = i.participant_id)
    RETURNING i.id
""")


def forget_overdue(session: Session) -> int:
    """Delete recruiters' ids whose studies ended longer ago than they are kept; returns how many. What is paid is paid:
    a study that has something to settle, or bonuses to pay, keeps them."""
    return len(session.execute(_FORGET).all())
