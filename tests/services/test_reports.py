"""A report against the pure functions on votes read naively, and its page."""

import json
import random
import re
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import text

from app.db import Sessions
from app.domain.agreement import Tally, fleiss_kappa, krippendorff_alpha, oracle_ceiling, pairwise_agreement
from app.errors import Conflict
from app.keys import Keys
from app.services import study_lookup
from app.services.assignments.exclusions import exclude_by_hand
from app.services.reports import statistics
from app.services.reports.page import report_html
from app.services.reports.statistics import StudyReport, study_report
from app.services.study_lookup import current_protocol
from app.storage import LocalStorage
from tests.services.test_quality import FIXED, sit
from tests.support.assignments import judge_all
from tests.support.factories import make_study

_VOTES = text("""
    SELECT t.item_id, j.choice FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN items i ON i.id = t.item_id
    WHERE i.study_id = :study AND i.role = 'pool' AND t.assignment_id <> ALL(:excluded) ORDER BY j.id
""")


def report_of(sessions: Sessions, slug: str) -> tuple[StudyReport, str]:
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        report = study_report(session, study)
        return report, report_html(report, current_protocol(session, study.id))


def votes(sessions: Sessions, slug: str, *, first: int | None = None, excluded: tuple[int, ...] = ()) -> Tally:
    """Counted one by one."""
    by_item: dict[int, list[int]] = {}
    with sessions() as session:
        study = study_lookup.by_slug(session, slug).id
        for row in session.execute(_VOTES, {"study": study, "excluded": list(excluded)}):
            by_item.setdefault(row.item_id, []).append(row.choice)
    counted = [item[:first] for item in by_item.values()]
    return Tally.of([item.count(0) for item in counted], [item.count(1) for item in counted])


@pytest.fixture(scope="module", autouse=True)
def _few_replicates() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "REPLICATES", 50)
        yield


def test_a_study_of_fixed_votes(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=24, **FIXED)
    rng = random.Random(1)

    def mostly_0(trial: Any) -> int:
        return int(rng.random() < 0.2) if trial.answer is None else trial.answer

    people = [sit(sessions, keys, slug, f"{slug}-{number}", mostly_0) for number in range(8)]
    even, _ = report_of(sessions, slug)
    assert even.agreement.fleiss is not None
    assert even.agreement.fleiss.estimate == pytest.approx(fleiss_kappa(votes(sessions, slug)), abs=1e-9)
    with sessions.begin() as session:
        exclude_by_hand(session, assignment_id=people[0], reason="<script>looked odd", actor="test")
    report, page = report_of(sessions, slug)
    tally = votes(sessions, slug, excluded=(people[0],))
    assert (report.agreement.basis, report.agreement.items, report.agreement.votes) == ("all votes", 24, 7 * 12)
    assert report.agreement.pairwise.estimate == pytest.approx(pairwise_agreement(tally), abs=1e-9)
    assert report.agreement.alpha.estimate == pytest.approx(krippendorff_alpha(tally), abs=1e-9)
    assert report.agreement.ceiling_oracle.estimate == pytest.approx(oracle_ceiling(tally), abs=1e-9)
    assert (report.agreement.fleiss, report.filter, report.sensitivity) == (None, None, None)
    assert report.sentinels is not None
    assert (report.sentinels.missed.count, report.sentinels.missed.of, report.sentinels.failed) == (0, 32, 0)
    assert [line.assignment for line in report.sittings] == people
    assert report.sittings[0].excluded == "<script>looked odd"
    assert "&lt;script&gt;looked odd" in page
    assert "<script" not in page


def test_a_filtered_study_counts_first_votes_and_names_chance(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(
        sessions, storage, items=30, rounds=4, min_votes=3, assignment__trials=10, assignment__practice=0,
        assignment__sentinels=0, assignment__sentinel_misses_allowed=0,
    )  # fmt: skip
    rng = random.Random(2)
    judge_all(sessions, keys, slug, lambda _: int(rng.random() < 0.15), name=slug)
    report, page = report_of(sessions, slug)
    first_two = votes(sessions, slug, first=2)
    assert (report.agreement.basis, report.agreement.votes) == ("first two votes", 60)
    assert report.agreement.pairwise.estimate == pytest.approx(pairwise_agreement(first_two), abs=1e-9)
    kept = report.filter
    assert kept is not None
    unanimous = votes(sessions, slug)
    assert kept.kept == int(((unanimous.votes_0 == 0) | (unanimous.votes_1 == 0)).sum())
    assert (kept.items, kept.after, kept.false_survivors) == (30, 4, 30 / 8)
    assert [(step.votes, step.by_chance) for step in kept.unanimous] == [(1, 30), (2, 15), (3, 7.5), (4, 3.75)]
    assert kept.unanimous[0].items == 30
    assert kept.unanimous[-1].items == kept.kept
    assert report.sentinels is None
    assert "each with\n      at least 4 unanimous votes" in page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_stands_alone(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=14, **FIXED)
    sit(sessions, keys, slug, slug, lambda trial: trial.left_candidate)
    _, page = report_of(sessions, slug)
    tags = Tags()
    tags.feed(page)
    names = [tag for tag, _ in tags.seen]
    assert not {"script", "link", "img", "iframe"} & set(names)
    assert not re.search(r"(src|href)=|url\(|@import", page)
    plots = [attributes for tag, attributes in tags.seen if tag == "svg"]
    assert len(plots) == 3
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_study_without_votes(sessions: Sessions, storage: LocalStorage) -> None:
    for is_open in (False, True):
        slug = make_study(sessions, storage, is_open=is_open)
        with sessions() as session, pytest.raises(Conflict, match="has no valid votes yet, so there is nothing"):
            study_report(session, study_lookup.by_slug(session, slug))


def test_one_vote_is_a_report_with_gaps(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=14, **FIXED | {"assignment__trials": 1})
    sit(sessions, keys, slug, slug, lambda _: 0)
    report, page = report_of(sessions, slug)
    assert report.agreement.pairwise.estimate is None
    assert "not defined" in page
    assert "NaN" not in json.dumps(asdict(report))
