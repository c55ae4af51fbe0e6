"""What an export reads, streamed in a fixed order from one snapshot of the database."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Literal, Self

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.services.rounds.outcomes import OUTCOME, is_excluded, valid_answer

BATCH = 5000
Split = Literal["train", "val", "test"]

# What of the pool is exported.
_CHOSEN = f"""i.study_id = :study AND i.role = 'pool' AND (CAST(:split AS text) IS NULL OR i.split = :split)
    AND (NOT :only_kept OR {OUTCOME} = 'kept')"""

_POOL = f"""
    SELECT i.number, i.votes_0, i.votes_1, i.dropped_round, i.split, i.is_imagenet, i.prompt, i.source,
           i.recorded_0, i.recorded_1, i.distance_0, i.distance_1, {OUTCOME} AS status,
           i.reference, i.candidate_0, i.candidate_1,
           r.extension AS reference_extension,
           a.extension AS candidate_0_extension, b.extension AS candidate_1_extension
    FROM items i
    JOIN images r ON r.sha256 = i.reference
    JOIN images a ON a.sha256 = i.candidate_0
    LEFT JOIN images b ON b.sha256 = i.candidate_1
    WHERE {_CHOSEN}
    ORDER BY i.number
"""

_PAIRS = f"""
    WITH valid AS (
        SELECT t.item_id, j.question, count(*) FILTER (WHERE j.choice = 0) AS same,
               count(*) FILTER (WHERE j.choice = 1) AS different
        FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN assignments a ON a.id = t.assignment_id
        WHERE a.study_id = :study AND {valid_answer("a.id")}
        GROUP BY t.item_id, j.question
    )
    SELECT i.number, pair, i.split, i.is_imagenet, i.prompt, i.source, {OUTCOME} AS status,
           i.reference, i.candidate_0, i.candidate_1,
           coalesce(valid.same, 0) AS same_votes, coalesce(valid.different, 0) AS different_votes,
           r.extension AS reference_extension,
           a.extension AS candidate_0_extension, b.extension AS candidate_1_extension
    FROM items i
    CROSS JOIN LATERAL generate_series(0, num_nonnulls(i.candidate_0, i.candidate_1) - 1) AS pair
    JOIN images r ON r.sha256 = i.reference
    JOIN images a ON a.sha256 = i.candidate_0
    LEFT JOIN images b ON b.sha256 = i.candidate_1
    LEFT JOIN valid ON valid.item_id = i.id AND valid.question = pair
    WHERE {_CHOSEN}
    ORDER BY i.number, pair
"""

_KEPT = f"""
    SELECT i.number FROM items i
    WHERE {_CHOSEN} AND {OUTCOME} = 'kept'
    ORDER BY i.number
"""

_JUDGMENTS = """
    SELECT j.id, p.pseudonym AS participant, t.assignment_id AS assignment, t.position, i.role, i.number AS item,
           i.reference, i.candidate_0, i.candidate_1, j.question, j.choice, t.left_candidate,
           CASE j.question WHEN 0 THEN i.answer ELSE i.answer_1 END AS answer,
           CASE WHEN :kind = 'jnd' THEN NULL WHEN j.choice = t.left_candidate THEN 'left' ELSE 'right' END AS side,
           s.round, s.ordinal, s.make_up, j.late, e.id IS NOT NULL AS excluded, e.reason AS exclusion_reason,
           e.excluded_by, e.excluded_at, j.input, j.rt_ms, j.suspect, CAST(j.timing AS text) AS timing, t.scale,
           t.attempt, j.received_at
    FROM judgments j
    JOIN trials t ON t.id = j.trial_id
    JOIN assignments a ON a.id = t.assignment_id
    JOIN participants p ON p.id = t.participant_id
    JOIN items i ON i.id = t.item_id
    LEFT JOIN slots s ON s.id = j.slot_id
    LEFT JOIN exclusions e ON e.assignment_id = a.id AND e.reinstated_at IS NULL
    WHERE a.study_id = :study
    ORDER BY j.id
"""

_ASSIGNMENTS = f"""
    SELECT a.id AS assignment, p.pseudonym AS participant, a.recruiter, a.protocol_version, a.state,
           a.created_at, a.completed_at, a.deadline, {is_excluded("a.id")} AS excluded,
           (SELECT count(*) FROM trials t WHERE t.assignment_id = a.id) AS trials,
           (SELECT count(*) FROM trials t JOIN judgments j ON j.trial_id = t.id
            WHERE t.assignment_id = a.id AND j.question = 0) AS answered,
           (SELECT count(*) FROM trials t JOIN items i ON i.id = t.item_id AND i.role = 'sentinel'
            JOIN judgments j ON j.trial_id = t.id WHERE t.assignment_id = a.id) AS sentinels,
           (SELECT count(*) FROM trials t JOIN items i ON i.id = t.item_id AND i.role = 'sentinel'
            JOIN judgments j ON j.trial_id = t.id
            WHERE t.assignment_id = a.id
              AND j.choice <> CASE j.question WHEN 0 THEN i.answer ELSE i.answer_1 END) AS sentinels_missed,
           CAST(a.environment AS text) AS environment
    FROM assignments a JOIN participants p ON p.id = a.participant_id
    WHERE a.study_id = :study
    ORDER BY a.id
"""

_COUNTS = f"""
    SELECT status, count(*) AS items, sum(votes) AS votes
    FROM (SELECT {OUTCOME} AS status, i.votes_0 + i.votes_1 AS votes
          FROM items i WHERE {_CHOSEN}) fates
    GROUP BY status
"""

_SHARED_CANDIDATES = f"""
    SELECT count(*) FROM (
        SELECT image
        FROM items i CROSS JOIN LATERAL (VALUES (i.candidate_0), (i.candidate_1)) AS shown (image)
        WHERE {_CHOSEN} AND image IS NOT NULL AND {OUTCOME} = 'kept'
        GROUP BY image HAVING count(DISTINCT i.split) > 1
    ) shared
"""


@dataclass(frozen=True)
class ExportSelection:
    """What of the pool goes into an export: items of one split, only those kept. With `min_votes` other items are kept
    than the protocol says. Judgments and assignments are always all there."""

    min_votes: int | None = None
    split: Split | None = None
    only_kept: bool = False

    def of(self, protocol: Protocol) -> Protocol:
        """The protocol by which the items are judged."""
        return protocol if self.min_votes is None else protocol.model_copy(update={"min_votes": self.min_votes})


EVERYTHING = ExportSelection()


class Snapshot:
    """One consistent view of a study; every query of an export sees the same state.

    Used as a context, at whose end the streams that were not read to their end are closed on the server.
    """

    def __init__(
        self, session: Session, *, study_id: int, protocol: Protocol, selection: ExportSelection = EVERYTHING
    ) -> None:
        self._session = session
        self._open = ExitStack()
        self._values = {
            "study": study_id,
            "kind": protocol.kind,
            "drop": protocol.drop,
            "min_votes": selection.of(protocol).min_votes,
            "split": selection.split,
            "only_kept": selection.only_kept,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def pool(self) -> Iterator[Row[Any]]:
        return self._stream(_POOL)

    def pairs(self) -> Iterator[Row[Any]]:
        """The pairs of a JND study's items, with the valid votes on each."""
        return self._stream(_PAIRS)

    def kept(self) -> list[int]:
        """The numbers of the items kept."""
        return list(self._session.scalars(text(_KEPT), self._known(_KEPT)))

    def judgments(self) -> Iterator[Row[Any]]:
        return self._stream(_JUDGMENTS)

    def assignments(self) -> Iterator[Row[Any]]:
        return self._stream(_ASSIGNMENTS)

    def counts(self) -> dict[str, int]:
        """Items by status, their valid votes, and candidate images that occur in more than one split."""
        rows = self._session.execute(text(_COUNTS), self._known(_COUNTS)).all()
        found = {row.status: int(row.items) for row in rows}
        shared = self._session.scalars(text(_SHARED_CANDIDATES), self._known(_SHARED_CANDIDATES)).one()
        return {
            "items": sum(found.values()),
            "kept": found.get("kept", 0),
            "dropped": found.get("dropped", 0),
            "short": found.get("short", 0),
            "valid_votes": sum(int(row.votes) for row in rows),
            "candidate_images_in_several_splits": int(shared),
        }

    def _stream(self, query: str) -> Iterator[Row[Any]]:
        rows = self._session.execute(text(query), self._known(query), execution_options={"yield_per": BATCH})
        yield from self._open.enter_context(closing(rows))

    def _known(self, query: str) -> dict[str, Any]:
        """The values that the query names."""
        return {name: self._values[name] for name in text(query).compile().params}
