"""The numbers of a report: how far people agree, what survives by chance, and how each sitting went."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.domain.agreement import (
    Tally,
    expected_false_survivors,
    fleiss_kappa,
    krippendorff_alpha,
    oracle_ceiling,
    pairwise_agreement,
    plug_in_agreement,
)
from app.domain.bootstrap import Interval, Statistic, Votes, cluster_bootstrap
from app.domain.consensus import Drop
from app.domain.protocol import Protocol
from app.domain.quality import Count, Signals
from app.domain.quality_rules import FAILED_SENTINELS, Finding
from app.domain.sensitivity import corrected_rate, d_prime_same_different
from app.errors import Conflict
from app.models.studies import Study
from app.services.reports.quality_rules import Assessed, assess_study
from app.services.rounds.outcomes import OUTCOME, valid_answer
from app.services.study_lookup import current_protocol, status_word

REPLICATES = 1000
FIRST_VOTES = 2
"""So many votes every item gets whatever they say, also under a filter (`domain/agreement`)."""


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95 % interval; None where there is none."""

    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """basis: all valid votes, or the first two of every item where a filter stops asking. items: with a vote; in JND
    every pair is one. votes: trials answered, as everywhere; judgments: the answers given in them, one on each pair.
    pairwise is the unbiased human ceiling too; fleiss is None unless all items have equally many judgments. The
    oracle's ceiling has no interval: resampled votes agree more than votes do, so it would miss its own estimate."""

    basis: Literal["all votes", "first two votes"]
    items: int
    votes: int
    people: int
    pairwise: Estimate
    alpha: Estimate
    fleiss: Estimate | None
    ceiling_plug_in: Estimate
    ceiling_oracle: Estimate
    judgments: int = 0


def measures(agreement: Agreement) -> list[tuple[str, Estimate]]:
    """The agreement's statistics with their names, in the order of every table."""
    named = [
        ("agreement of two people", agreement.pairwise),
        ("human ceiling, plug-in", agreement.ceiling_plug_in),
        ("oracle ceiling", agreement.ceiling_oracle),
        ("Krippendorff's alpha", agreement.alpha),
    ]
    return named + ([("Fleiss' kappa", agreement.fleiss)] if agreement.fleiss else [])


@dataclass(frozen=True)
class Unanimity:
    """Items still unanimous after so many votes, and how many of all would be if every vote were a coin's."""

    votes: int
    items: int
    by_chance: float


@dataclass(frozen=True)
class Filter:
    """kept: items as they would be exported now. after: the fewest votes that any of them has, and the study's
    `min_votes` while there is none; false_survivors: how many of all items would be left after as many if every vote
    were a coin's."""

    items: int
    kept: int
    after: int
    false_survivors: float
    unanimous: list[Unanimity]


@dataclass(frozen=True)
class Sentinels:
    """Of all sittings, excluded ones too. failed: sittings whose sentinels failed by the rules."""

    sittings: int
    missed: Count
    failed: int


@dataclass(frozen=True)
class Sensitivity:
    """JND, over the sittings that are used: "different" said of clearly different and of identical pairs, and d′ of the
    differencing model from their corrected rates."""

    hits: Count
    false_alarms: Count
    d_prime: float


@dataclass(frozen=True)
class AssignmentLine:
    """One sitting as it stands with all the votes there are now. `excluded` is the reason, None if its votes are used;
    `of_person` are findings that show only in all the participant's `sittings` together."""

    assignment: int
    participant: str
    state: str
    excluded: str | None
    excluded_by: str | None
    findings: list[Finding]
    sittings: int
    of_person: tuple[Finding, ...]
    signals: Signals


@dataclass(frozen=True)
class StudyReport:
    """filter is None where nothing is dropped, sensitivity in 2AFC, sentinels where there are none."""

    study: str
    kind: str
    status: str
    agreement: Agreement
    filter: Filter | None
    sentinels: Sentinels | None
    sensitivity: Sensitivity | None
    sittings: list[AssignmentLine]


def study_report(session: Session, study: Study) -> StudyReport:
    """Everything, computed from the votes as they are.

    Raises:
        Conflict: there are no valid votes yet.
    """
    protocol = current_protocol(session, study.id)
    votes = _votes(session, study.id)
    if not votes:
        raise Conflict(
            f"The study {study.slug!r} has no valid votes yet, so there is nothing to report. It is "
            f"{status_word(study)}; `lookalike status {study.slug}` shows how it stands."
        )
    sittings = _sittings(session, study.id)
    return StudyReport(
        study=study.slug,
        kind=protocol.kind,
        status=status_word(study),
        agreement=_agreement(votes, drop=protocol.drop, seed=study.seed),
        filter=_filter(session, study.id, protocol, votes) if protocol.has_filter else None,
        sentinels=_sentinels(sittings),
        sensitivity=_sensitivity(sittings),
        sittings=sittings,
    )


_VOTES = text(f"""
    SELECT t.item_id, j.question, t.participant_id, j.choice,
           row_number() OVER (PARTITION BY t.item_id, j.question ORDER BY j.id) AS place
    FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN assignments a ON a.id = t.assignment_id
    WHERE a.study_id = :study AND {valid_answer("a.id")}
    ORDER BY t.item_id, j.question, place
""")


@dataclass(frozen=True, slots=True)
class _Vote:
    """pair: the item and the question asked about it; place: from 1, in order of receipt."""

    pair: tuple[int, int]
    participant: int
    choice: int
    place: int


def _votes(session: Session, study_id: int) -> list[_Vote]:
    rows = session.execute(_VOTES, {"study": study_id})
    return [_Vote((row.item_id, row.question), row.participant_id, row.choice, row.place) for row in rows]


def _agreement(every: Sequence[_Vote], *, drop: Drop, seed: int) -> Agreement:
    is_filtered = drop != "none"
    used = [vote for vote in every if vote.place <= FIRST_VOTES] if is_filtered else every
    pairs = {pair: index for index, pair in enumerate(dict.fromkeys(vote.pair for vote in used))}
    votes = Votes.of(
        [pairs[vote.pair] for vote in used],
        [vote.participant for vote in used],
        [vote.choice for vote in used],
        items=len(pairs),
    )
    statistics: dict[str, Statistic] = {
        "pairwise": pairwise_agreement,
        "alpha": krippendorff_alpha,
        "ceiling_plug_in": plug_in_agreement,
    }
    tally = votes.tally()
    if _is_even(tally):
        statistics["fleiss"] = fleiss_kappa
    intervals = cluster_bootstrap(votes, statistics, seed=seed, replicates=REPLICATES)
    estimates = {name: _estimate(interval) for name, interval in intervals.items()}
    return Agreement(
        basis="first two votes" if is_filtered else "all votes",
        items=votes.items,
        votes=sum(vote.pair[1] == 0 for vote in used),
        judgments=len(used),
        people=votes.participants,
        pairwise=estimates["pairwise"],
        alpha=estimates["alpha"],
        fleiss=estimates.get("fleiss"),
        ceiling_plug_in=estimates["ceiling_plug_in"],
        ceiling_oracle=Estimate(oracle_ceiling(tally), None, None),
    )


def _is_even(tally: Tally) -> bool:
    """Whether all items have the same number of votes, at least two."""
    numbers = np.unique(tally.received)
    return len(numbers) == 1 and bool(numbers[0] >= 2)


def _estimate(interval: Interval) -> Estimate:
    defined = [value if math.isfinite(value) else None for value in (interval.estimate, interval.low, interval.high)]
    return Estimate(*defined)


_POOL = text(f"""
    SELECT count(*) AS items, count(*) FILTER (WHERE outcome = 'kept') AS kept,
           min(votes) FILTER (WHERE outcome = 'kept') AS fewest
    FROM (SELECT i.votes_0 + i.votes_1 AS votes, {OUTCOME} AS outcome
          FROM items i WHERE i.study_id = :study AND i.role = 'pool') pool
""")


def _filter(session: Session, study_id: int, protocol: Protocol, votes: Sequence[_Vote]) -> Filter:
    pool = session.execute(_POOL, {"study": study_id, "drop": protocol.drop, "min_votes": protocol.min_votes}).one()
    after = pool.fewest or protocol.min_votes
    return Filter(
        items=pool.items,
        kept=pool.kept,
        after=after,
        false_survivors=expected_false_survivors(pool.items, after),
        unanimous=_unanimous(votes, pool.items),
    )


def _unanimous(votes: Sequence[_Vote], items: int) -> list[Unanimity]:
    counts: dict[int, int] = {}
    first: dict[tuple[int, int], int] = {}
    split = set()
    for vote in votes:  # an item's votes come in order
        if first.setdefault(vote.pair, vote.choice) != vote.choice:
            split.add(vote.pair)
        if vote.pair not in split:
            counts[vote.place] = counts.get(vote.place, 0) + 1
    return [Unanimity(place, counts[place], expected_false_survivors(items, place)) for place in sorted(counts)]


_HEADS = text("""
    SELECT a.id, p.pseudonym, a.state, e.reason, e.excluded_by
    FROM assignments a JOIN participants p ON p.id = a.participant_id
    LEFT JOIN exclusions e ON e.assignment_id = a.id AND e.reinstated_at IS NULL
    WHERE a.study_id = :study
""")


def _sittings(session: Session, study_id: int) -> list[AssignmentLine]:
    heads = {row.id: row for row in session.execute(_HEADS, {"study": study_id})}
    lines = [_line(heads[found.assignment_id], found) for found in assess_study(session, study_id=study_id)]
    return sorted(lines, key=lambda line: line.assignment)


def _line(head: Any, found: Assessed) -> AssignmentLine:
    return AssignmentLine(
        assignment=head.id,
        participant=head.pseudonym,
        state=head.state,
        excluded=head.reason,
        excluded_by=head.excluded_by,
        findings=found.findings,
        sittings=found.sittings,
        of_person=found.of_person,
        signals=found.signals,
    )


def _sentinels(sittings: Sequence[AssignmentLine]) -> Sentinels | None:
    shown = [line for line in sittings if missed_sentinels(line.signals).of]
    if not shown:
        return None
    return Sentinels(
        sittings=len(shown),
        missed=_sum(missed_sentinels(line.signals) for line in shown),
        failed=sum(any(finding.name in FAILED_SENTINELS for finding in line.findings) for line in shown),
    )


def missed_sentinels(signals: Signals) -> Count:
    """Wrong answers to sentinels of every kind."""
    missed_differences = Count(signals.hits.of - signals.hits.count, signals.hits.of)
    return _sum([signals.sentinel_misses, missed_differences, signals.false_alarms])


def _sensitivity(sittings: Sequence[AssignmentLine]) -> Sensitivity | None:
    """None where no sentinel is a same–different one, as in 2AFC."""
    used = [line.signals for line in sittings if line.excluded is None]
    hits, false_alarms = _sum(one.hits for one in used), _sum(one.false_alarms for one in used)
    if not hits.of or not false_alarms.of:
        return None
    rates = corrected_rate(hits.count, hits.of), corrected_rate(false_alarms.count, false_alarms.of)
    return Sensitivity(hits, false_alarms, d_prime_same_different(*rates))


def _sum(counts: Any) -> Count:
    counts = list(counts)
    return Count(sum(count.count for count in counts), sum(count.of for count in counts))
