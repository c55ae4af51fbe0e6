"""Bad crowds: are they found as often as the binomial says, and does excluding them bring the right set back?

One study per kind of observer, 20 % of that kind and 80 % attentive. 2AFC: half of its triplets are clear (everybody
who looks sees the same), half are a coin's toss, and a triplet is kept after six unanimous votes: the clear ones are
the truth. JND: of each item's two pairs one is clearly different and one all but identical, and the set to bring back
are the pairs that everybody calls different. The crowd judges over HTTP until the study is finished, everybody with a
finding is excluded, the crowd comes again for the votes that are missing, and so on until nobody is left to exclude.

    python benchmarks/detection.py            every kind in 2AFC and in JND, about a minute each
    python benchmarks/detection.py jnd fallible
"""

import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from sqlalchemy import text

from app.cli.supervisor import Child, running, wait_until_serving
from app.db import Sessions, open_sessions
from app.domain.detection import flag_probability_2afc, flag_probability_jnd
from app.domain.protocol import Protocol
from app.services import study_lookup
from app.services.assignments.exclusions import exclude_by_hand
from app.services.reports.quality_rules import assess_study
from app.services.studies import lifecycle
from app.services.study_lookup import current_protocol
from app.settings import Settings
from app.storage import LocalStorage
from simulation.crowd import CrowdPlan, run_crowd
from simulation.observers import FALLIBLE_ACCURACY, KINDS, Kind
from tests.support.factories import make_study

PORT = 8598
ITEMS = {"2afc": 480, "jnd": 160}
PRESETS = {"2afc": "nights-2afc", "jnd": "nights-jnd"}
SHARE = 0.2
MOST_PASSES = 8
SITTING = {"assignment__trials": 12, "assignment__practice": 0, "assignment__sentinels": 10}
RULES: dict[str, dict[str, object]] = {
    "2afc": {"rounds": 6, "min_votes": 6, "drop": "dissent"},
    "jnd": {"votes_per_round": 6, "min_votes": 6},
}
ACCURACY: dict[Kind, float] = {"attentive": 1.0, "fallible": FALLIBLE_ACCURACY}
BY_CHANCE = {"sentinel_misses", "side_bias", "false_alarms"}
"""The findings whose rate `app/domain/detection.py` computes."""


@dataclass(frozen=True)
class Flagged:
    """Of so many sittings, those flagged by the two computed rules, and by any."""

    sittings: int
    computed: int
    any: int


DISTANCES = {
    # Every second triplet is clear.
    "2afc": """distance_0 = CASE number % 4 WHEN 0 THEN 0 WHEN 2 THEN 9 ELSE 1 END,
               distance_1 = CASE number % 4 WHEN 0 THEN 9 WHEN 2 THEN 0 ELSE 1 END""",
    # Of every two pairs one is.
    "jnd": "distance_0 = 9 * (1 - number % 2), distance_1 = 9 * (number % 2)",
}


def make(sessions: Sessions, storage: LocalStorage, test: str) -> str:
    """A study whose truth is known."""
    slug = make_study(
        sessions,
        storage,
        preset=PRESETS[test],
        items=ITEMS[test],
        is_open=False,
        quality__failed_sentinels="propose",
        **SITTING,
        **RULES[test],  # type: ignore[arg-type]
    )
    with sessions.begin() as session:
        session.execute(
            text(
                f"UPDATE items SET {DISTANCES[test]} FROM studies s "
                "WHERE s.id = study_id AND slug = :slug AND role = 'pool'"
            ),
            {"slug": slug},
        )
        lifecycle.open_study(session, slug=slug)
    return slug


KEPT = {
    "2afc": """
        SELECT number % 2 = 0 AS is_clear, dropped_round IS NULL AND votes_0 + votes_1 >= 6 AS is_kept
        FROM items i JOIN studies s ON s.id = study_id WHERE slug = :slug AND role = 'pool'
    """,
    "jnd": """
        SELECT i.number % 2 = j.question AS is_clear, count(*) >= 6 AND bool_and(j.choice = 1) AS is_kept
        FROM items i JOIN studies s ON s.id = study_id JOIN trials t ON t.item_id = i.id
        JOIN judgments j ON j.trial_id = t.id
        WHERE slug = :slug AND role = 'pool' AND NOT late AND NOT EXISTS (
            SELECT FROM exclusions e WHERE e.assignment_id = t.assignment_id AND e.reinstated_at IS NULL
        )
        GROUP BY i.number, j.question
    """,
}


def kept(sessions: Sessions, slug: str, test: str) -> tuple[float, float]:
    """Precision and recall of the kept set, the clear triplets or pairs being the truth."""
    with sessions() as session:
        rows = session.execute(text(KEPT[test]), {"slug": slug}).all()
    right = sum(row.is_clear and row.is_kept for row in rows)
    return right / max(1, sum(row.is_kept for row in rows)), right / sum(row.is_clear for row in rows)


def judge(sessions: Sessions, url: str, slug: str, kind: Kind, turn: int) -> None:
    mix: dict[Kind, float] = {} if kind == "attentive" else {kind: SHARE}
    run_crowd(
        url,
        sessions,
        CrowdPlan(slug=slug, participants=5000, concurrency=8, seed=turn, noise=0.5, lapse=0.0, mix=mix),
    )


def flagged(sessions: Sessions, slug: str) -> tuple[dict[str, Flagged], list[int]]:
    """By kind of observer; and the assignments with a finding that are not excluded yet."""
    kinds = text(
        "SELECT DISTINCT t.assignment_id, j.timing ->> 'simulated' AS kind "
        "FROM judgments j JOIN trials t ON t.id = j.trial_id WHERE j.question = 0"
    )
    excluded = text("SELECT assignment_id FROM exclusions WHERE reinstated_at IS NULL")
    with sessions() as session:
        kind_of = {row.assignment_id: row.kind for row in session.execute(kinds)}
        found = list(assess_study(session, study_id=study_lookup.by_slug(session, slug).id))
        done = set(session.scalars(excluded))
    names: dict[str, list[set[str]]] = {}
    for sitting in found:
        names.setdefault(kind_of[sitting.assignment_id], []).append({finding.name for finding in sitting.findings})
    counted = {
        kind: Flagged(len(sets), sum(bool(one & BY_CHANCE) for one in sets), sum(map(bool, sets)))
        for kind, sets in names.items()
    }
    return counted, [one.assignment_id for one in found if one.findings and one.assignment_id not in done]


def expected(protocol: Protocol, kind: Kind) -> float:
    if protocol.kind == "jnd":
        sentinels, accuracy = protocol.assignment.sentinels, ACCURACY.get(kind, 0.5)
        says_same = kind == "left-presser"
        return flag_probability_jnd(
            protocol.quality_rules,
            different=sentinels,
            same=sentinels,
            hit_rate=0.0 if says_same else accuracy,
            false_alarm_rate=0.0 if says_same else 1 - accuracy,
        )
    return flag_probability_2afc(
        protocol.quality_rules,
        trials=protocol.assignment.trials,
        sentinels=protocol.assignment.sentinels,
        accuracy=ACCURACY.get(kind, 0.5),
        left=1.0 if kind == "left-presser" else 0.5,
    )


def run(sessions: Sessions, storage: LocalStorage, url: str, test: str, kind: Kind) -> bool:
    """Print what was found; whether all of it is within four standard errors of what was computed."""
    slug = make(sessions, storage, test)
    judge(sessions, url, slug, kind, turn=1)
    counted, odd = flagged(sessions, slug)
    before, turn, removed = kept(sessions, slug, test), 1, 0
    while odd and turn < MOST_PASSES:
        with sessions.begin() as session:
            for assignment in odd:
                exclude_by_hand(session, assignment_id=assignment, reason="flagged", actor="benchmark")
        removed += len(odd)
        turn += 1
        judge(sessions, url, slug, kind, turn)
        _, odd = flagged(sessions, slug)
    after = kept(sessions, slug, test)
    with sessions() as session:
        protocol = current_protocol(session, study_lookup.by_slug(session, slug).id)
    is_right = True
    for name, rates in sorted(counted.items(), key=lambda entry: entry[0] != kind):
        p = expected(protocol, name)  # type: ignore[arg-type]
        error = sqrt(p * (1 - p) / rates.sittings)
        is_right &= abs(rates.computed / rates.sittings - p) <= 4 * error + 1 / rates.sittings
        print(
            f"{test:<6}{name:<15}{rates.sittings:>9,}{rates.computed / rates.sittings:>11.1%}{p:>11.1%}"
            f" ±{2 * error:>5.1%}{rates.any / rates.sittings:>11.1%}", end="" if name == kind else "\n",
        )  # fmt: skip
        if name == kind:
            print(f"{before[0]:>13.3f} {before[1]:.3f}{after[0]:>9.3f} {after[1]:.3f}{removed:>9}{turn:>7}", flush=True)
    return is_right


def main(names: Iterable[str]) -> None:
    kinds = [kind for kind in KINDS if kind in names] or list(KINDS)
    tests = [test for test in PRESETS if test in names] or list(PRESETS)
    above = "sentinels and side           any rule       before        after   excluded"
    columns = "kind            sittings   flagged   computed         flagged   prec. recall  prec. recall        passes"
    print(f"{'':30}{above}\n{'test':<6}{columns}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(LOOKALIKE_HOME=Path(folder, "home"))
        children = [
            Child("server", ["serve", "--port", str(PORT), "--home", str(settings.home)]),
            Child("worker", ["worker", "--home", str(settings.home)]),
        ]
        with open_sessions(settings, migrate=True) as sessions, running(children):
            wait_until_serving(f"http://127.0.0.1:{PORT}", children)
            storage = LocalStorage(settings.images)
            url = f"http://127.0.0.1:{PORT}"
            are_right = [run(sessions, storage, url, test, kind) for test in tests for kind in kinds]
    if not all(are_right):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
