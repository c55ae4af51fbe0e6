"""The participant's HTTP contract."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text, update

from app.db import Sessions
from app.models.assignments import Abort, Assignment, Exclusion, Judgment, Trial
from app.models.items import Item, Slot
from app.models.studies import Study
from app.services import study_lookup
from app.services.rounds import rounds
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.factories import make_study

PAGE = {"accept": "text/html,application/xhtml+xml"}
SMALL = {"assignment__trials": 6, "assignment__practice": 2, "assignment__sentinels": 2}


def enrol(client: TestClient, slug: str, participant: str) -> str:
    response = client.post(f"/studies/{slug}/assignments", json={"participant": participant, "consent": True})
    assert response.status_code == 201, response.text
    return str(response.json()["url"])


def open_trials(client: TestClient, url: str) -> list[dict[str, Any]]:
    trials: list[dict[str, Any]] = client.get(f"{url}/trials").json()["trials"]
    return trials


def judgment(trial: int, answer: str = "left", **more: object) -> dict[str, Any]:
    return {"trial": trial, "answers": [answer], "input": "mouse", "rt_ms": 612.5, "timing": {"onset": 1}} | more


def judge(client: TestClient, url: str, *judgments: dict[str, Any]) -> Any:
    # In ASCII: a lone surrogate can be sent as an escape only.
    body = json.dumps({"judgments": judgments})
    return client.post(f"{url}/judgments", content=body, headers={"content-type": "application/json"})


@pytest.fixture
def slug(sessions: Sessions, storage: LocalStorage) -> str:
    return make_study(sessions, storage, **SMALL)


class TestSigningUp:
    def test_looking_at_the_page_creates_nothing(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        page = client.get(f"/studies/{slug}?participant=ann", headers=PAGE)
        assert page.status_code == 200
        with sessions() as session:
            assert (
                session.scalars(
                    select(Assignment).join(Study, Study.id == Assignment.study_id).where(Study.slug == slug)
                ).all()
                == []
            )

    def test_a_repeat_gives_the_same_assignment(self, client: TestClient, slug: str) -> None:
        fields = {"participant": "ann", "consent": True}
        first = client.post(f"/studies/{slug}/assignments", json=fields)
        again = client.post(f"/studies/{slug}/assignments", json=fields)
        form = client.post(f"/studies/{slug}/assignments", data={"participant": "ann", "consent": "true"})
        assert (first.status_code, again.status_code, form.status_code) == (201, 200, 303)
        assert first.json() == again.json()
        assert form.headers["location"] == first.json()["url"]

    def test_twenty_at_once_make_one_assignment(self, client: TestClient, slug: str) -> None:
        body = {"participant": "eager", "consent": True}
        with ThreadPoolExecutor(20) as pool:
            responses = list(pool.map(lambda _: client.post(f"/studies/{slug}/assignments", json=body), range(20)))
        assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
        assert len({response.text for response in responses}) == 1

    def test_a_link_opened_again_leads_to_where_the_assignment_stands(
        self, client: TestClient, sessions: Sessions, slug: str
    ) -> None:
        url, left = enrol(client, slug, "ann"), enrol(client, slug, "leo")
        again = client.get(f"/studies/{slug}?participant=ann", headers=PAGE)
        assert (again.status_code, again.headers["location"]) == (303, url)
        judge(client, url, *(judgment(trial["id"]) for trial in open_trials(client, url)))
        code = client.post(f"{url}/complete", json={}).json()["completion_code"]
        client.post(f"{left}/withdraw", json={})
        with sessions.begin() as session:
            lifecycle.close(session, slug=slug)
        ended = client.get(f"/studies/{slug}?participant=ann", headers=PAGE, follow_redirects=True)
        assert ended.status_code == 200
        assert code in ended.text
        gone = client.get(f"/studies/{slug}?participant=leo", headers=PAGE, follow_redirects=True)
        assert (gone.status_code, "You have left this study" in gone.text) == (410, True)

    def test_without_consent_nothing_happens(self, client: TestClient, slug: str) -> None:
        for consent in (False, "no", None):
            response = client.post(f"/studies/{slug}/assignments", json={"participant": "ann", "consent": consent})
            assert response.status_code == 422
        assert client.post(f"/studies/{slug}/decline", data={}).status_code == 200

    def test_an_anonymous_person_gets_an_assignment(self, client: TestClient, slug: str) -> None:
        tokens = {client.post(f"/studies/{slug}/assignments", json={"consent": True}).json()["token"] for _ in range(2)}
        assert len(tokens) == 2

    @pytest.mark.parametrize("participant", ["a b", "x" * 129, "<script>", "a\0b", "é"])
    def test_a_strange_participant_is_refused(self, client: TestClient, slug: str, participant: str) -> None:
        response = client.post(f"/studies/{slug}/assignments", json={"participant": participant, "consent": True})
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"'])
    def test_a_strange_body_is_refused(self, client: TestClient, slug: str, body: bytes) -> None:
        headers = {"content-type": "application/json"}
        assert client.post(f"/studies/{slug}/assignments", content=body, headers=headers).status_code == 422

    def test_an_unknown_study_is_not_found(self, client: TestClient) -> None:
        assert client.get("/studies/nowhere", headers=PAGE).status_code == 404
        assert client.post("/studies/nowhere/assignments", json={"consent": True}).status_code == 404

    def test_a_draft_has_not_started(self, client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
        draft = make_study(sessions, storage, is_open=False, **SMALL)
        assert client.post(f"/studies/{draft}/assignments", json={"consent": True}).status_code == 409

    def test_pausing_and_closing_stop_new_assignments_only(
        self, client: TestClient, sessions: Sessions, slug: str
    ) -> None:
        url = enrol(client, slug, "ann")
        with sessions.begin() as session:
            lifecycle.pause(session, slug=slug)
        paused = client.post(f"/studies/{slug}/assignments", json={"participant": "bob", "consent": True})
        assert (paused.status_code, "retry-after" in paused.headers) == (409, True)
        with sessions.begin() as session:
            lifecycle.close(session, slug=slug)
        closed = client.post(f"/studies/{slug}/assignments", json={"participant": "bob", "consent": True})
        assert closed.status_code == 410
        assert client.get(f"/studies/{slug}?participant=bob", headers=PAGE).status_code == 410
        assert client.get(f"/studies/{slug}?participant=ann", headers=PAGE).headers["location"] == url
        known = client.post(f"/studies/{slug}/assignments", json={"participant": "ann", "consent": True})
        assert (known.status_code, known.json()["url"]) == (200, url)
        assert judge(client, url, judgment(open_trials(client, url)[0]["id"])).status_code == 200

    def test_when_everything_is_leased_one_waits(
        self, client: TestClient, sessions: Sessions, storage: LocalStorage
    ) -> None:
        slug = make_study(sessions, storage, items=20, **SMALL | {"assignment__trials": 20})
        enrol(client, slug, "first")
        response = client.post(f"/studies/{slug}/assignments", json={"participant": "second", "consent": True})
        assert response.status_code == 409
        assert int(response.headers["retry-after"]) > 0

    def test_who_has_seen_everything_is_told_so(
        self, client: TestClient, sessions: Sessions, storage: LocalStorage
    ) -> None:
        slug = make_study(sessions, storage, items=20, **SMALL | {"assignment__trials": 20})
        with sessions.begin() as session:
            session.execute(text("UPDATE studies SET state = 'open' WHERE slug = :slug"), {"slug": slug})
        url = enrol(client, slug, "only")
        for trial in open_trials(client, url):
            judge(client, url, judgment(trial["id"]))
        client.post(f"{url}/complete")
        with sessions.begin() as session:
            rounds.advance(session, study_id=study_lookup.by_slug(session, slug).id)
        # A second sitting of the same person is a new submission; the direct link knows only one per person.
        known = client.post(f"/studies/{slug}/assignments", json={"participant": "only", "consent": True})
        assert known.json()["url"] == url


class TestTrials:
    def test_practice_comes_first_and_only_practice_says_so(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        body = client.get(f"{url}/trials").json()
        assert body["assignment"] == {"position": 0, "total": 10, "state": "active"}
        assert [trial.get("practice", False) for trial in body["trials"]] == [True] * 2 + [False] * 8

    def test_only_practice_gives_feedback(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for trial in open_trials(client, url):
            body = judge(client, url, judgment(trial["id"])).json()
            assert body["accepted"] == [trial["id"]]
            assert bool(body["feedback"]) == ("practice" in trial)
            if body["feedback"]:
                (feedback,) = body["feedback"]
                assert feedback["correct"] == (feedback["expected"] == "left")

    def test_the_choice_is_stored_by_candidate(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for number, trial in enumerate(open_trials(client, url)):
            judge(client, url, judgment(trial["id"], "left" if number % 2 else "right"))
        with sessions() as session:
            rows = session.execute(
                select(Judgment, Trial)
                .join(Trial, Trial.id == Judgment.trial_id)
                .join(Assignment, Assignment.id == Trial.assignment_id)
                .join(Study, Study.id == Assignment.study_id)
                .where(Study.slug == slug)
            ).all()
            assert len(rows) == 10
            for stored, trial in rows:
                left = (trial.position - 1) % 2 == 1
                assert stored.choice == (trial.left_candidate if left else 1 - trial.left_candidate)
                assert (stored.input, stored.rt_ms, stored.timing, stored.suspect) == (
                    "mouse",
                    612.5,
                    {"onset": 1},
                    False,
                )

    def test_answered_trials_are_not_listed_again(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        first, *rest = open_trials(client, url)
        judge(client, url, judgment(first["id"]))
        assert open_trials(client, url) == rest

    def test_a_token_that_never_existed_is_not_found(self, client: TestClient) -> None:
        for token in ("x", "A" * 22, "../../etc", "é"):
            for call in (client.get(f"/assignments/{token}/trials"), client.post(f"/assignments/{token}/complete")):
                assert call.status_code == 404


class TestJudgments:
    def test_fifty_identical_judgments_at_once_make_one_row(
        self, client: TestClient, sessions: Sessions, slug: str
    ) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[-1]["id"]
        with ThreadPoolExecutor(50) as pool:
            responses = list(pool.map(lambda _: judge(client, url, judgment(trial)), range(50)))
        assert {response.status_code for response in responses} == {200}
        assert len({response.text for response in responses}) == 1
        with sessions() as session:
            assert len(session.scalars(select(Judgment).where(Judgment.trial_id == trial)).all()) == 1

    def test_only_the_answer_decides_what_is_a_repeat(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[3]["id"]
        first = judge(client, url, judgment(trial))
        again = judge(client, url, judgment(trial, rt_ms=1, timing={"other": True}, input="j"))
        assert first.json() == again.json()
        with sessions() as session:
            assert session.scalars(select(Judgment.rt_ms).where(Judgment.trial_id == trial)).one() == 612.5

    def test_a_conflict_stores_nothing_of_the_request(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        url = enrol(client, slug, "ann")
        one, two, three = (trial["id"] for trial in open_trials(client, url)[2:5])
        judge(client, url, judgment(one))
        response = judge(client, url, judgment(two), judgment(one, "right"), judgment(three))
        assert response.status_code == 409
        assert response.json()["conflicts"] == [one]
        assert {two, three} <= {trial["id"] for trial in open_trials(client, url)}
        with sessions() as session:
            states = session.scalars(
                select(Slot.state).join(Trial, Trial.slot_id == Slot.id).where(Trial.id.in_([two, three]))
            )
            assert set(states) <= {"leased"}

    def test_a_request_that_contradicts_itself_is_a_conflict(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[0]["id"]
        assert judge(client, url, judgment(trial), judgment(trial, "right")).status_code == 409
        assert judge(client, url, judgment(trial), judgment(trial)).json()["accepted"] == [trial]

    def test_somebody_elses_and_unknown_trials_are_refused(self, client: TestClient, slug: str) -> None:
        ann, bob = enrol(client, slug, "ann"), enrol(client, slug, "bob")
        foreign = open_trials(client, bob)[0]["id"]
        mine = open_trials(client, ann)[0]["id"]
        for trial in (foreign, 2**62):
            assert judge(client, ann, judgment(mine), judgment(trial)).status_code == 422
        assert len(open_trials(client, ann)) == len(open_trials(client, bob)) == 10

    @pytest.mark.parametrize(
        "wrong",
        [
            {"answers": ["up"]}, {"answers": []}, {"answers": ["left", "left"]}, {"answers": "left"}, {"answers": None},
            {"trial": "1"}, {"trial": 1.5}, {"trial": None}, {"trial": -1}, {"trial": 2**70}, {"trial": True},
        ],
    )  # fmt: skip
    def test_only_trial_and_answers_can_fail(self, client: TestClient, slug: str, wrong: dict[str, Any]) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[0]["id"]
        assert judge(client, url, judgment(trial) | wrong).status_code == 422
        assert len(open_trials(client, url)) == 10

    @pytest.mark.parametrize(
        "odd",
        [
            {"rt_ms": None}, {"rt_ms": -5}, {"rt_ms": "fast"}, {"rt_ms": True}, {"rt_ms": [1]},
            {"timing": None}, {"timing": "soon"}, {"timing": [1]}, {"timing": {"a": "x" * 17_000}},
            {"timing": {"a": "\0"}}, {"timing": {"a": "\ud800"}},
        ],
    )  # fmt: skip
    def test_what_cannot_be_used_is_dropped_and_the_judgment_marked(
        self, client: TestClient, sessions: Sessions, slug: str, odd: dict[str, Any]
    ) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[0]["id"]
        assert judge(client, url, judgment(trial) | odd).status_code == 200
        with sessions() as session:
            stored = session.scalars(select(Judgment).where(Judgment.trial_id == trial)).one()
            assert stored.suspect
            assert (stored.rt_ms is None) == ("rt_ms" in odd)
            assert (stored.timing is None) == ("timing" in odd)

    @pytest.mark.parametrize(
        "absurd",
        [
            {"rt_ms": 1e9},
            {"timing": {"onset_ms": -1}},
            {"timing": {"answered_ms": 1e15}},
            {"timing": {"intervals": [{"on_ms": 10, "off_ms": 5, "frames": 1}]}},
            {"timing": {"intervals": [{"on_ms": 0, "off_ms": 500, "frames": 90_000}]}},
        ],
    )
    def test_what_cannot_be_true_is_kept_and_the_judgment_marked(
        self, client: TestClient, sessions: Sessions, slug: str, absurd: dict[str, Any]
    ) -> None:
        url = enrol(client, slug, "ann")
        trial = open_trials(client, url)[0]["id"]
        assert judge(client, url, judgment(trial) | absurd).status_code == 200
        with sessions() as session:
            stored = session.scalars(select(Judgment).where(Judgment.trial_id == trial)).one()
            assert stored.suspect
            assert {"rt_ms": stored.rt_ms, "timing": stored.timing}.items() >= absurd.items()

    def test_nan_and_infinity_cost_no_answer(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for trial, value in zip(open_trials(client, url), ("NaN", "Infinity", "-Infinity", "1e999"), strict=False):
            body = '{"judgments": [{"trial": %d, "answers": ["left"], "rt_ms": %s, "timing": {"a": %s}}]}'
            response = client.post(
                f"{url}/judgments",
                content=body % (trial["id"], value, value),
                headers={"content-type": "application/json"},
            )
            assert response.status_code == 200, response.text

    def test_large_and_malformed_bodies_are_refused(self, client: TestClient, slug: str) -> None:
        url = f"{enrol(client, slug, 'ann')}/judgments"
        json_type = {"content-type": "application/json"}
        assert client.post(url, content=b"x" * 10_000_000, headers=json_type).status_code == 413
        chunked = client.post(url, content=(b"x" * 50_000 for _ in range(8)), headers=json_type)
        assert chunked.status_code == 413
        assert client.post(url, json={"judgments": [judgment(n + 1) for n in range(101)]}).status_code == 413
        for body in (b"{", b"", b"[]", b'{"judgments": []}', b'{"judgments": [1]}', b"[" * 5000, b"\xff\xfe"):
            response = client.post(url, content=body, headers=json_type)
            assert response.status_code in (400, 422), (body[:20], response.status_code)
            assert response.headers["content-type"] == "application/problem+json"


class TestEndings:
    def test_completion_waits_for_every_answer(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        trials = [trial["id"] for trial in open_trials(client, url)]
        for trial in trials[:-1]:
            judge(client, url, judgment(trial))
        early = client.post(f"{url}/complete")
        assert (early.status_code, early.json()["missing"]) == (409, trials[-1:])
        judge(client, url, judgment(trials[-1]))
        done = client.post(f"{url}/complete")
        assert done.status_code == 200
        assert done.json()["ending"] == {"kind": "thanks", "url": None, "fields": {}}
        assert client.post(f"{url}/complete").json() == done.json()
        assert done.json()["completion_code"] in client.get(url, headers=PAGE).text

    def test_completing_works_after_the_deadline(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for trial in open_trials(client, url):
            judge(client, url, judgment(trial["id"]))
        with sessions.begin() as session:
            overdue = text("""
                UPDATE assignments SET deadline = now() - interval '1 day', state = 'expired'
                FROM studies s WHERE s.id = study_id AND s.slug = :slug
            """)
            session.execute(overdue, {"slug": slug})
        assert client.post(f"{url}/complete").status_code == 200

    def test_leaving_voids_the_answers_and_frees_the_slots(
        self, client: TestClient, sessions: Sessions, slug: str
    ) -> None:
        url = enrol(client, slug, "ann")
        for trial in open_trials(client, url)[:5]:
            judge(client, url, judgment(trial["id"]))
        assert client.post(f"{url}/withdraw").status_code == 204
        assert client.post(f"{url}/withdraw").status_code == 204
        for call in (client.get(f"{url}/trials"), client.post(f"{url}/complete"), judge(client, url, judgment(1))):
            assert call.status_code == 410
        assert client.get(url, headers=PAGE).status_code == 410
        with sessions() as session:
            study = study_lookup.by_slug(session, slug)
            assert session.scalars(select(Exclusion.reason)).all()
            assert session.scalars(select(Slot).where(Slot.study_id == study.id, Slot.state == "leased")).all() == []
            votes = session.scalars(
                select(Item.votes_0 + Item.votes_1).where(Item.study_id == study.id, Item.role == "pool")
            )
            assert set(votes) == {0}

    def test_who_has_completed_cannot_leave_any_more(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for trial in open_trials(client, url):
            judge(client, url, judgment(trial["id"]))
        client.post(f"{url}/complete")
        assert client.post(f"{url}/withdraw").status_code == 409


class TestAborts:
    def test_an_aborted_trial_comes_again_at_the_end_with_new_images(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        first, *rest = open_trials(client, url)
        body = {"trial": first["id"], "attempt": first["attempt"], "reason": "decode", "timing": {}}
        response = client.post(f"{url}/aborts", json=body)
        assert response.status_code == 200
        again = open_trials(client, url)
        assert [trial["id"] for trial in again] == [trial["id"] for trial in rest] + [first["id"]]
        assert set(again[-1]["images"].values()).isdisjoint(first["images"].values())
        assert client.get(first["images"]["left"]).status_code == 404
        assert client.get(again[-1]["images"]["left"]).status_code == 200
        client.post(f"{url}/aborts", json=body)
        assert open_trials(client, url) == again

    def test_after_three_attempts_a_trial_is_skipped_and_its_slot_opens(
        self, client: TestClient, sessions: Sessions, slug: str
    ) -> None:
        url = enrol(client, slug, "ann")
        with sessions() as session:
            pool = session.scalars(select(Trial.id).where(Trial.slot_id.is_not(None))).all()
        trial = next(trial["id"] for trial in open_trials(client, url) if trial["id"] in pool)
        for attempt in (1, 2, 3):
            client.post(f"{url}/aborts", json={"trial": trial, "attempt": attempt, "reason": "hidden"})
        listed = client.get(f"{url}/trials").json()
        assert trial not in [open_trial["id"] for open_trial in listed["trials"]]
        assert listed["assignment"]["position"] == 1
        with sessions() as session:
            assert (
                session.scalars(select(Slot.state).join(Trial, Trial.slot_id == Slot.id).where(Trial.id == trial)).one()
                == "open"
            )
            assert len(session.scalars(select(Abort).where(Abort.trial_id == trial)).all()) == 3

    def test_a_slot_that_went_to_somebody_else_stays_theirs(
        self, client: TestClient, sessions: Sessions, storage: LocalStorage
    ) -> None:
        checks = {"assignment__practice": 0, "assignment__sentinels": 0, "assignment__sentinel_misses_allowed": 0}
        slug = make_study(sessions, storage, items=1, rounds=1, min_votes=1, assignment__trials=1, **checks)
        ann = enrol(client, slug, f"{slug}-ann")
        (trial,) = open_trials(client, ann)
        with sessions.begin() as session:
            past = func.clock_timestamp() - timedelta(seconds=1)
            session.execute(
                update(Slot).where(Slot.study_id == study_lookup.by_slug(session, slug).id).values(leased_until=past)
            )
        bob = enrol(client, slug, f"{slug}-bob")
        for attempt in (1, 2, 3):
            body = {"trial": trial["id"], "attempt": attempt, "reason": "hidden"}
            assert client.post(f"{ann}/aborts", json=body).status_code == 200
        cat = client.post(f"/studies/{slug}/assignments", json={"participant": f"{slug}-cat", "consent": True})
        assert cat.status_code == 409, "there is nothing for a third person"
        (theirs,) = open_trials(client, bob)
        judge(client, bob, judgment(theirs["id"]))
        with sessions() as session:
            assert not session.scalars(select(Judgment.late).where(Judgment.trial_id == theirs["id"])).one()
        assert client.post(f"{ann}/withdraw").status_code == 204
        assert client.post(f"{ann}/aborts", json=body).status_code == 410
        assert client.post(f"{ann}/environment", json={"zoom_changes": 1}).status_code == 410

    def test_what_is_known_of_a_device_is_limited(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        said = [client.post(f"{url}/environment", json={f"field {n}": "x" * 15_000}).status_code for n in range(3)]
        assert said == [204, 204, 413]

    def test_wrong_aborts_change_nothing(self, client: TestClient, slug: str) -> None:
        ann, bob = enrol(client, slug, "ann"), enrol(client, slug, "bob")
        foreign = open_trials(client, bob)[0]["id"]
        assert (
            client.post(f"{ann}/aborts", json={"trial": foreign, "attempt": 1, "reason": "hidden"}).status_code == 404
        )
        answered = open_trials(client, ann)[0]["id"]
        judge(client, ann, judgment(answered))
        assert (
            client.post(f"{ann}/aborts", json={"trial": answered, "attempt": 1, "reason": "hidden"}).status_code == 409
        )
        assert (
            client.post(f"{ann}/aborts", json={"trial": answered, "attempt": 1, "reason": "bored"}).status_code == 422
        )


class TestNothingTells:
    def test_images_of_a_trial_have_one_length_and_no_two_the_same_bytes(self, client: TestClient, slug: str) -> None:
        url = enrol(client, slug, "ann")
        for trial in open_trials(client, url):
            images = [client.get(path) for path in trial["images"].values()]
            assert len({len(image.content) for image in images}) == 1
            assert len({image.content for image in images}) == 3
            # By which a page knows that an image is whole.
            assert all(int(image.headers["Content-Length"]) == len(image.content) for image in images)
            assert {image.headers["cache-control"] for image in images} == {"private, max-age=86400, immutable"}
            headers = [{k: v for k, v in image.headers.items() if k != "date"} for image in images]
            assert headers[0] == headers[1] == headers[2]

    def test_sentinels_have_the_shape_of_trials(self, client: TestClient, sessions: Sessions, slug: str) -> None:
        url = enrol(client, slug, "ann")
        trials = open_trials(client, url)[2:]
        with sessions() as session:
            roles = dict(session.execute(select(Trial.id, Item.role).join(Item, Item.id == Trial.item_id)).all())
        assert {roles[trial["id"]] for trial in trials} == {"pool", "sentinel"}
        shapes = {
            (tuple(trial), tuple(trial["images"]), tuple(len(path) for path in trial["images"].values()))
            for trial in trials
        }
        assert len(shapes) == 1
        assert [trial["id"] for trial in trials] == sorted(trial["id"] for trial in trials)

    def test_an_invented_address_is_not_found(self, client: TestClient) -> None:
        for opaque in ("x", "A" * 36, "%00", "é"):
            assert client.get(f"/images/{opaque}").status_code == 404


def test_no_page_sets_a_cookie_or_sends_a_referrer(client: TestClient, slug: str) -> None:
    url = enrol(client, slug, "ann")
    for response in (client.get(f"/studies/{slug}", headers=PAGE), client.get(url, headers=PAGE), client.get("/")):
        assert "set-cookie" not in response.headers
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_recruiter_ids_are_nowhere_but_in_identities(client: TestClient, sessions: Sessions, slug: str) -> None:
    enrol(client, slug, "very-special-person")
    with sessions() as session:
        tables = session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        for table in tables:
            hits = session.scalars(
                text(f"SELECT count(*) FROM {table} t WHERE CAST(t AS text) LIKE '%very-special%'")
            ).one()
            assert hits == 0, table
