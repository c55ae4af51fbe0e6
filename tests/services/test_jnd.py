"""JND studies: pairs on their way in, checks, judgments, and what comes out."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from app.db import Sessions
from app.domain import protocol
from app.domain.quality import Count
from app.domain.sensitivity import d_prime_same_different
from app.errors import AnswerConflict, BadInput, Conflict, Gone
from app.keys import Keys
from app.services import study_lookup
from app.services.assignments import exclusions, judgments, lifecycle
from app.services.assignments.judgments import Answer
from app.services.assignments.lifecycle import by_token
from app.services.exports.export import export_study
from app.services.reports import quality_rules
from app.services.reports.page import report_html
from app.services.reports.statistics import study_report
from app.services.rounds import rounds
from app.services.studies import lifecycle as study_lifecycle
from app.services.studies.derive import derive_study
from app.services.studies.status import study_status
from app.services.study_lookup import current_protocol
from app.storage import LocalStorage
from tests.support.assignments import judge_all, sign_up
from tests.support.factories import make_slug
from tests.support.pictures import decoded, png
from tests.support.triplet_folder import TripletFolder, bring, contents, make_draft, pool, silent

SMALL = {"assignment.trials": "6", "assignment.practice": "2", "assignment.sentinels": "2"}
ONE_PAIR = SMALL | {"assignment.same_sentinels": "1", "votes_per_round": "2", "min_votes": "2"}


@pytest.fixture
def folder(tmp_path: Path) -> TripletFolder:
    return TripletFolder(tmp_path / "folder")


@pytest.fixture
def one_pair(sessions: Sessions, storage: LocalStorage, folder: TripletFolder) -> str:
    """An open study of ten single pairs, two votes each."""
    slug = make_draft(sessions, "bapps-jnd", **ONE_PAIR)
    bring(sessions, storage, slug, folder.pairs(10))
    with sessions.begin() as session:
        study_lifecycle.open_study(session, slug=slug)
    return slug


@pytest.fixture
def two_pairs(sessions: Sessions, storage: LocalStorage, keys: Keys, folder: TripletFolder, tmp_path: Path) -> str:
    """An open study of the ten triplets that another one kept, as two pairs each."""
    source = make_draft(sessions, rounds="1", min_votes="1", **SMALL)
    bring(sessions, storage, source, folder.csv(folder.csv_rows(10)))
    with sessions.begin() as session:
        study_lifecycle.open_study(session, slug=source)
    judge_all(sessions, keys, source, lambda item: item.number % 2)
    export_study(sessions, storage, slug=source, out=tmp_path / "export", report=silent)
    slug = derive(sessions, storage, source, **SMALL)
    with sessions.begin() as session:
        study_lifecycle.open_study(session, slug=slug)
    return slug


def derive(sessions: Sessions, storage: LocalStorage, source: str, preset: str = "nights-jnd", **overrides: str) -> str:
    slug = make_slug()
    loaded = protocol.load(preset, overrides=overrides)
    derive_study(sessions, storage, source=source, slug=slug, protocol=loaded, seed=2, report=silent)
    return slug


TRIALS = text("""
    SELECT t.id AS trial, t.left_candidate, i.*, num_nonnulls(i.candidate_0, i.candidate_1) AS pairs
    FROM trials t JOIN items i ON i.id = t.item_id JOIN assignments a ON a.id = t.assignment_id
    WHERE a.token_sha256 = sha256(convert_to(:token, 'UTF8')) ORDER BY t.position
""")


def trials_of(sessions: Sessions, token: str) -> list[Any]:
    with sessions() as session:
        return list(session.execute(TRIALS, {"token": token}))


def answers_to(trial: Any, different: Any) -> tuple[str, ...]:
    """In the order asked; `different(trial, candidate)` decides about pool trials, checks are answered rightly."""
    asked = [0] if trial.pairs == 1 else [trial.left_candidate, 1 - trial.left_candidate]
    known = (trial.answer, trial.answer_1)
    said = [different(trial, candidate) if trial.answer is None else known[candidate] for candidate in asked]
    return tuple("different" if is_different else "same" for is_different in said)


def sit(sessions: Sessions, keys: Keys, slug: str, person: str, different: Any) -> str:
    token = sign_up(sessions, keys, slug, person)
    given = [Answer(trial.trial, answers_to(trial, different), timing={}) for trial in trials_of(sessions, token)]
    with sessions.begin() as session:
        receipt = judgments.record(session, token=token, answers=given)
        assert all(feedback.correct for feedback in receipt.feedback)
        lifecycle.complete(session, token=token)
        rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
    return token


class TestPairFiles:
    def test_pairs_may_be_equal_and_keep_their_recorded_answers(
        self, sessions: Sessions, storage: LocalStorage, folder: TripletFolder
    ) -> None:
        rows = [
            {"image_a": folder.picture("a.png", png(1)), "image_b": folder.picture("b.png", png(1)), "pair_id": "7"},
            {"image_a": folder.picture("c.png", png(2)), "image_b": folder.picture("d.png", png(3)), "pair_id": "9"},
        ]
        rows = [row | votes for row, votes in zip(rows, (votes(2, 5), votes(5, 5)), strict=True)]
        slug = make_draft(sessions, "bapps-jnd")
        assert bring(sessions, storage, slug, folder.csv(rows, "pairs.csv")).items == 2
        first, second = pool(sessions, slug)
        assert (first.number, second.number) == (7, 9)
        assert first.reference == first.candidate_0
        assert (first.candidate_1, second.candidate_1) == (None, None)
        assert [(item.recorded_0, item.recorded_1) for item in (first, second)] == [(3, 2), (0, 5)]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"image_b": ""}, "image_b names no file"),
            ({"image_b": "pairs/9-b.png"}, "does not exist"),
            ({"different_votes": "6", "votes": "5"}, r"different_votes is 6, which is more than votes \(5\)"),
            ({"image_b": "pairs/0-a.png", "different_votes": "3", "votes": "5"}, "most votes say they are not"),
        ],
    )
    def test_what_cannot_be(
        self, sessions: Sessions, storage: LocalStorage, folder: TripletFolder, change: dict[str, str], said: str
    ) -> None:
        slug = make_draft(sessions, "bapps-jnd")
        with folder.pairs(2, different_votes="0", votes="5").open() as file:
            rows = list(csv.DictReader(file))
        before = contents(sessions, slug)
        with pytest.raises(BadInput, match=said):
            bring(sessions, storage, slug, folder.csv([rows[0] | change, rows[1]], "pairs.csv"))
        assert contents(sessions, slug) == before

    def test_triplets_and_pairs_have_studies_of_their_own(
        self, sessions: Sessions, storage: LocalStorage, folder: TripletFolder
    ) -> None:
        with pytest.raises(BadInput, match="is a 2AFC study"):
            bring(sessions, storage, make_draft(sessions), folder.pairs(1))
        with pytest.raises(BadInput, match=r"is a JND study\. Triplets become pairs with: lookalike study derive"):
            bring(sessions, storage, make_draft(sessions, "nights-jnd"), folder.csv(folder.csv_rows(1)))


def votes(different: int, of: int) -> dict[str, str]:
    return {"different_votes": str(different), "votes": str(of)}


class TestChecks:
    def test_single_pairs_are_identical_or_clearly_different(self, sessions: Sessions, one_pair: str) -> None:
        checks = checks_of(sessions, one_pair)
        assert Counter((check.role, check.answer) for check in checks) == {
            ("practice", 0): 1,
            ("practice", 1): 1,
            ("sentinel", 0): 3,
            ("sentinel", 1): 3,
        }
        for check in checks:
            assert (check.reference == check.candidate_0) == (check.answer == 0)
            assert check.candidate_1 is None

    def test_everybody_gets_as_many_identical_ones(self, sessions: Sessions, keys: Keys, one_pair: str) -> None:
        for person in ("ann", "ben", "cem"):
            trials = trials_of(sessions, sign_up(sessions, keys, one_pair, person))
            assert sorted(trial.answer for trial in trials if trial.role == "sentinel") == [0, 1]

    def test_of_two_pairs_one_is_identical(self, sessions: Sessions, two_pairs: str) -> None:
        checks = checks_of(sessions, two_pairs)
        assert Counter(check.role for check in checks) == {"practice": 2, "sentinel": 6}
        for check in checks:
            pairs = [(check.candidate_0, check.answer), (check.candidate_1, check.answer_1)]
            assert all((candidate == check.reference) == (answer == 0) for candidate, answer in pairs)
            assert check.role == "practice" or check.answer + check.answer_1 == 1
        assert {check.answer for check in checks} == {0, 1}

    def test_without_two_images_there_is_no_different_pair(
        self, sessions: Sessions, storage: LocalStorage, folder: TripletFolder
    ) -> None:
        slug = make_draft(sessions, "bapps-jnd", **ONE_PAIR)
        bring(sessions, storage, slug, folder.pairs(1))
        with pytest.raises(BadInput, match="its pool has"), sessions.begin() as session:
            study_lifecycle.open_study(session, slug=slug)


def checks_of(sessions: Sessions, slug: str) -> list[Any]:
    with sessions() as session:
        query = "SELECT i.* FROM items i JOIN studies s ON s.id = i.study_id WHERE s.slug = :slug AND role <> 'pool'"
        return list(session.execute(text(query), {"slug": slug}))


class TestJudgments:
    def test_answers_are_stored_under_the_candidate_they_are_about(
        self, sessions: Sessions, keys: Keys, two_pairs: str
    ) -> None:
        token = sit(sessions, keys, two_pairs, "ann", lambda _, candidate: candidate)
        trials = {trial.trial: trial for trial in trials_of(sessions, token)}
        assert {trial.left_candidate for trial in trials.values()} == {0, 1}
        for stored in stored_judgments(sessions, token):
            trial = trials[stored.trial_id]
            known = (trial.answer, trial.answer_1)[stored.question]
            assert stored.choice == (stored.question if trial.answer is None else known)
            assert (stored.timing is not None) == (stored.question == 0)

    def test_repeats_conflicts_and_halves(self, sessions: Sessions, keys: Keys, two_pairs: str) -> None:
        token = sign_up(sessions, keys, two_pairs, "ben")
        trial = trials_of(sessions, token)[0].trial
        for wrong, said in (
            (("same",), "Every question of a trial is answered once"),
            (("left", "right"), "Answers in this study are 'same' or 'different'"),
        ):
            with pytest.raises(BadInput, match=said), sessions.begin() as session:
                judgments.record(session, token=token, answers=[Answer(trial, wrong)])
        assert stored_judgments(sessions, token) == []
        for _ in range(2):
            with sessions.begin() as session:
                receipt = judgments.record(session, token=token, answers=[Answer(trial, ("same", "different"))])
            assert receipt.accepted == [trial]
        assert len(stored_judgments(sessions, token)) == 2
        with pytest.raises(AnswerConflict) as refused, sessions.begin() as session:
            judgments.record(session, token=token, answers=[Answer(trial, ("same", "same"))])
        assert refused.value.details == {"conflicts": [trial]}

    def test_a_pair_has_no_second_question(self, sessions: Sessions, keys: Keys, one_pair: str) -> None:
        token = sign_up(sessions, keys, one_pair, "cem")
        trial = trials_of(sessions, token)[0].trial
        with pytest.raises(BadInput, match="answered once"), sessions.begin() as session:
            judgments.record(session, token=token, answers=[Answer(trial, ("same", "same"))])

    def test_every_pair_gets_its_votes_and_no_more(self, sessions: Sessions, keys: Keys, one_pair: str) -> None:
        for person in range(4):  # 10 pairs × 2 votes, 6 a sitting
            sit(sessions, keys, one_pair, f"person-{person}", lambda item, _: item.number < 3)
        with pytest.raises(Gone):
            sit(sessions, keys, one_pair, "late", lambda *_: 0)
        assert [(item.votes_0, item.votes_1) for item in pool(sessions, one_pair)] == [(0, 2)] * 3 + [(2, 0)] * 7
        assert {item.dropped_round for item in pool(sessions, one_pair)} == {None}


def stored_judgments(sessions: Sessions, token: str) -> list[Any]:
    with sessions() as session:
        query = """
            SELECT j.* FROM judgments j JOIN trials t ON t.id = j.trial_id JOIN assignments a ON a.id = t.assignment_id
            WHERE a.token_sha256 = sha256(convert_to(:token, 'UTF8')) ORDER BY j.trial_id, j.question
        """
        return list(session.execute(text(query), {"token": token}))


class TestExports:
    def test_shares_of_both_pairs_without_void_votes(
        self, sessions: Sessions, storage: LocalStorage, keys: Keys, two_pairs: str, tmp_path: Path
    ) -> None:
        sit(sessions, keys, two_pairs, "ann", lambda _, candidate: candidate)
        void = sit(sessions, keys, two_pairs, "ben", lambda *_: 1)
        with sessions.begin() as session:
            exclusions.exclude(session, assignment=by_token(session, void), reason="slept", actor="test")
        out = tmp_path / "out"
        counts = export_study(sessions, storage, slug=two_pairs, out=out, report=silent).counts
        assert (counts["items"], counts["valid_votes"], counts["kept"]) == (10, 6, 0)
        assert not (out / "data.csv").exists()
        rows = list(read(out / "jnd.csv"))
        assert len(rows) == 20
        judged = [row for row in rows if row["votes"] != "0"]
        assert len(judged) == 12
        said = {"0": ("1.0", "0"), "1": ("0.0", "1")}
        assert all((row["same"], row["different_votes"]) == said[row["pair"]] for row in judged)
        assert {row["same"] for row in rows if row["votes"] == "0"} == {""}
        for row in rows:
            assert (out / row["image_a"]).is_file()
            assert row["image_b"].endswith(f"_{row['pair']}.png")
            assert (out / row["image_b"]).is_file()
        assert "flashed one after the other" in (out / "README.md").read_text()

    def test_a_study_that_was_never_exported_has_no_children(
        self, sessions: Sessions, storage: LocalStorage, one_pair: str, tmp_path: Path
    ) -> None:
        with pytest.raises(Conflict, match="has no export to begin with"):
            derive(sessions, storage, one_pair, "bapps-jnd")
        export_study(sessions, storage, slug=one_pair, out=tmp_path / "empty", report=silent)
        with pytest.raises(Conflict, match="keeps no items"):
            derive(sessions, storage, one_pair, "bapps-jnd")

    def test_pairs_cannot_become_triplets(
        self, sessions: Sessions, storage: LocalStorage, keys: Keys, one_pair: str, tmp_path: Path
    ) -> None:
        for person in range(4):
            sit(sessions, keys, one_pair, f"person-{person}", lambda *_: 0)
        export_study(sessions, storage, slug=one_pair, out=tmp_path / "out", report=silent)
        with pytest.raises(BadInput, match="cannot become triplets"):
            derive(sessions, storage, one_pair, "nights-2afc")
        assert len(pool(sessions, derive(sessions, storage, one_pair, "bapps-jnd"))) == 10


def read(path: Path) -> Iterator[dict[str, str]]:
    with path.open() as file:
        yield from csv.DictReader(file)


def test_a_derived_study_has_the_numbers_splits_and_pixels_of_its_source(
    sessions: Sessions, storage: LocalStorage, two_pairs: str
) -> None:
    items = pool(sessions, two_pairs)
    assert [item.number for item in items] == list(range(10))
    with sessions() as session:
        (origin,) = session.execute(
            text(
                "SELECT e.study_id FROM studies s JOIN exports e ON e.manifest_sha256 = s.derived_from WHERE slug = :s"
            ),
            {"s": two_pairs},
        ).one()
        source = session.execute(
            text("SELECT number, split FROM items WHERE study_id = :s AND role = 'pool' ORDER BY number"), {"s": origin}
        )
        assert [tuple(row) for row in source] == [(item.number, item.split) for item in items]
        shown = session.scalars(
            text("SELECT sha256 FROM derivatives WHERE image = :image AND kind = 'lossless'"),
            {"image": items[0].reference},
        ).one()
    assert (decoded(storage.get(shown)) == decoded(storage.get(items[0].reference))).all()


class TestQuality:
    def test_a_report_takes_every_pair_for_itself_and_tells_sensitivity(
        self, sessions: Sessions, keys: Keys, two_pairs: str
    ) -> None:
        for person in range(3):
            sit(sessions, keys, two_pairs, f"{two_pairs}-{person}", lambda _, candidate: candidate)
        with sessions() as session:
            study = study_lookup.by_slug(session, two_pairs)
            report, status = study_report(session, study), study_status(session, study)
            page = " ".join(report_html(report, current_protocol(session, study.id)).split())
        assert (report.kind, report.filter, report.agreement.votes) == ("jnd", None, 3 * 6)
        assert (status.votes, report.agreement.judgments) == (report.agreement.votes, 3 * 6 * 2)
        assert "18 votes (36 judgments, one on each pair of an item) of 3 people on" in page
        assert report.agreement.items % 2 == 0
        assert report.agreement.pairwise.estimate == 1
        assert report.sensitivity is not None
        assert (report.sensitivity.hits, report.sensitivity.false_alarms) == (Count(6, 6), Count(0, 6))
        assert report.sensitivity.d_prime == d_prime_same_different(6.5 / 7, 0.5 / 7)
        assert all(line.signals.side_bias_p is None for line in report.sittings)

    def test_always_same_is_excluded(self, sessions: Sessions, keys: Keys, two_pairs: str) -> None:
        token = sign_up(sessions, keys, two_pairs, two_pairs)
        same = [Answer(trial.trial, ("same",) * trial.pairs) for trial in trials_of(sessions, token)]
        with sessions.begin() as session:
            judgments.record(session, token=token, answers=same)
            number = lifecycle.complete(session, token=token).id
            quality_rules.assess(session, assignment_id=number)
            exclusion = exclusions.in_force(session, number)
            assert exclusion is not None
            assert exclusion.reason == 'Said "same" of 2 of 2 clearly different pairs; 1 may be missed.'


def test_the_layout_of_bapps_reads_back(
    sessions: Sessions, storage: LocalStorage, keys: Keys, one_pair: str, tmp_path: Path
) -> None:
    for person in range(4):
        sit(sessions, keys, one_pair, f"person-{person}", lambda item, _: item.number % 2)
    out = tmp_path / "bapps"
    export_study(sessions, storage, slug=one_pair, out=out, form="bapps", report=silent)
    files = json.loads((out / "manifest.json").read_text())["files"]
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {*files, "manifest.json"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256 for name, sha256 in files.items())
    shares = {}
    for judged in out.glob(f"jnd/*/{one_pair}/same/*.npy"):
        number, pair = judged.stem.split("_")
        assert pair == "0"
        for images in ("p0", "p1"):
            assert (judged.parents[1] / images / f"{judged.stem}.png").is_file()
        shares[int(number)] = float(np.load(judged)[0])
    assert shares == {number: float(number % 2 == 0) for number in range(10)}
