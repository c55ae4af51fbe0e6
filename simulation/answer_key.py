"""The answer key: the one thing simulated people do not get over HTTP."""

from sqlalchemy import text

from app.db import Sessions
from app.domain.counted import counted
from app.errors import BadInput
from simulation.observers import Key

_KEYS = text("""
    SELECT t.id, i.number, t.left_candidate, i.answer, i.answer_1, s.ordinal,
           i.recorded_0, i.recorded_1, i.distance_0, i.distance_1,
           CASE WHEN p.document ->> 'kind' = 'jnd' THEN num_nonnulls(i.candidate_0, i.candidate_1) END AS pairs
    FROM trials t JOIN items i ON i.id = t.item_id LEFT JOIN slots s ON s.id = t.slot_id
    JOIN assignments a ON a.id = t.assignment_id
    JOIN protocol_versions p ON p.study_id = a.study_id AND p.version = a.protocol_version
    WHERE t.id = ANY(:trials)
""")

_UNKNOWN = text("""
    SELECT count(*) FROM items i JOIN studies s ON s.id = i.study_id
    WHERE s.slug = :slug AND i.role = 'pool'
      AND CASE WHEN :answers = 'latent' THEN i.distance_0 IS NULL ELSE i.recorded_0 IS NULL END
""")


def require_answers(sessions: Sessions, *, slug: str, answers: str) -> None:
    """Raises BadInput unless every item of the study can be answered in this way."""
    with sessions() as session:
        unknown = session.scalar(_UNKNOWN, {"slug": slug, "answers": answers})
    if unknown:
        missing = "latent distances" if answers == "latent" else "recorded votes"
        other = "recorded" if answers == "latent" else "latent"
        raise BadInput(f"{slug!r} has {counted(unknown, 'item')} without {missing}. Try --answers {other}.")


def load_keys(sessions: Sessions, trial_ids: list[int]) -> dict[int, Key]:
    with sessions() as session:
        return {
            row.id: Key(
                item_number=row.number,
                left_candidate=row.left_candidate,
                pairs=row.pairs,
                answers=None if row.answer is None else (row.answer, row.answer_1),
                ordinal=row.ordinal,
                recorded=None if row.recorded_0 is None else (row.recorded_0, row.recorded_1),
                distances=None if row.distance_0 is None else (row.distance_0, row.distance_1),
            )
            for row in session.execute(_KEYS, {"trials": trial_ids})
        }
