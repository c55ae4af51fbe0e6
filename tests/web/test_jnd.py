"""The contract of JND trials, of instruction trials, and of the comprehension check."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db import Sessions
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.support.factories import make_study
from tests.support.pictures import decoded, noise
from tests.support.triplet_folder import TripletFolder, bring, make_draft
from tests.web.test_participant import enrol, judge, open_trials

SMALL = {
    "assignment.trials": "6",
    "assignment.practice": "2",
    "assignment.sentinels": "4",
    "assignment.same_sentinels": "2",
}
NO_CHECKS = dict.fromkeys(("assignment.practice", "assignment.sentinels", "assignment.same_sentinels"), "0")
CHECK = """[{question = "Fast?", choices = ["yes", "no"], answer = "no"},
           {question = "Same?", choices = ["a", "b"], answer = "a"}]"""


@pytest.fixture
def slug(sessions: Sessions, storage: LocalStorage, tmp_path: Path) -> str:
    slug = make_draft(sessions, "bapps-jnd", **SMALL)
    bring(sessions, storage, slug, TripletFolder(tmp_path).pairs(20))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    return slug


def answer(trial: int, *answers: str) -> dict[str, Any]:
    return {"trial": trial, "answers": list(answers), "input": "s", "rt_ms": 900.5, "timing": {}}


def test_trials_flash_in_order_and_ask_afterwards(client: TestClient, slug: str) -> None:
    url = enrol(client, slug, "ann")
    body = client.get(f"{url}/trials").json()
    assert body["presentation"] == {"scale": 1.0, "stimulus_ms": 1000, "gap_ms": 250}
    assert len(body["trials"]) == 12
    for trial in body["trials"]:
        assert set(trial) - {"practice"} == {"id", "kind", "attempt", "flashes", "pairs", "questions"}
        assert (trial["kind"], len(trial["flashes"]), trial["pairs"]) == ("jnd", 2, [[0, 1]])
        assert trial["questions"] == ["Were the two images the same?"]
    assert len({flash for trial in body["trials"] for flash in trial["flashes"]}) == 24


def test_nothing_tells_identical_pairs_from_others(client: TestClient, sessions: Sessions, slug: str) -> None:
    """Not the address, nor a header, the length or the bytes; what is shown is the stored image, pixel by pixel."""
    url = enrol(client, slug, "ann")
    for trial in open_trials(client, url):
        first, second = (client.get(flash) for flash in trial["flashes"])
        assert len(first.content) == len(second.content)
        assert first.content != second.content
        assert dict(first.headers).keys() == dict(second.headers).keys()
        shown = (decoded(first.content) == decoded(second.content)).all()
        with sessions() as session:
            item = session.execute(
                text("SELECT i.* FROM trials t JOIN items i ON i.id = t.item_id WHERE t.id = :id"), {"id": trial["id"]}
            ).one()
        assert shown == (item.reference == item.candidate_0)


def test_images_arrive_pixel_exact(
    client: TestClient, sessions: Sessions, storage: LocalStorage, tmp_path: Path
) -> None:
    folder = TripletFolder(tmp_path)
    pictures = [noise(seed, size=(31, 17)) for seed in (1, 2)]
    for name, picture in zip(("a.png", "b.png"), pictures, strict=True):
        picture.save(tmp_path / name)
    slug = make_draft(sessions, "bapps-jnd", **SMALL | NO_CHECKS)
    bring(sessions, storage, slug, folder.csv([{"image_a": "a.png", "image_b": "b.png"}], "pairs.csv"))
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    (trial,) = open_trials(client, enrol(client, slug, "ann"))
    for flash, picture in zip(trial["flashes"], pictures, strict=True):
        assert np.array_equal(decoded(client.get(flash).content), np.asarray(picture))


def test_practice_tells_the_right_answers(client: TestClient, slug: str) -> None:
    url = enrol(client, slug, "ann")
    practice = [trial for trial in open_trials(client, url) if trial.get("practice")]
    assert len(practice) == 2
    receipt = judge(client, url, *[answer(trial["id"], "same") for trial in practice]).json()
    assert sorted(feedback["expected"] for feedback in receipt["feedback"]) == [["different"], ["same"]]
    assert all(feedback["correct"] == (feedback["expected"] == ["same"]) for feedback in receipt["feedback"])


@pytest.mark.parametrize("answers", [["left"], ["same", "same"], [], ["same", "same", "same"], ["perhaps"], "same"])
def test_answers_outside_the_choices(client: TestClient, slug: str, answers: object) -> None:
    url = enrol(client, slug, "ann")
    trials = open_trials(client, url)
    given = [answer(trials[0]["id"], "same"), answer(trials[1]["id"]) | {"answers": answers}]
    assert judge(client, url, *given).status_code == 422
    assert open_trials(client, url) == trials, "all or nothing"


def test_an_aborted_trial_comes_again_with_new_addresses(client: TestClient, slug: str) -> None:
    url = enrol(client, slug, "ann")
    first, *others = open_trials(client, url)
    body = {"trial": first["id"], "attempt": first["attempt"], "reason": "hidden", "timing": {"flashes": 1}}
    again = client.post(f"{url}/aborts", json=body).json()["trial"]
    assert again["id"] == first["id"]
    assert not set(again["flashes"]) & set(first["flashes"])
    assert client.get(first["flashes"][0]).status_code == 404
    assert open_trials(client, url) == [*others, again]


def test_instruction_trials_say_what_to_choose(client: TestClient, sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(
        sessions, storage, assignment__trials=6, assignment__practice=0, assignment__sentinels=2,
        assignment__instruction_trials=2,
    )  # fmt: skip
    url = enrol(client, slug, "ann")
    told = [trial for trial in open_trials(client, url) if "prompt" in trial]
    assert len(told) == 2
    for trial in told:
        side = trial["prompt"].split()[2]
        assert trial["prompt"] == f"Choose the {side} image"
        assert judge(client, url, answer(trial["id"], side)).json()["feedback"] == []
    with sessions() as session:
        right = session.execute(
            text("""
                SELECT j.choice = i.answer AS is_right, j.slot_id FROM judgments j JOIN trials t ON t.id = j.trial_id
                JOIN items i ON i.id = t.item_id WHERE t.id = ANY(:trials) AND i.role = 'instruction'
            """),
            {"trials": [trial["id"] for trial in told]},
        ).all()
    assert [tuple(row) for row in right] == [(True, None)] * 2


class TestComprehensionCheck:
    @pytest.fixture
    def checked(self, sessions: Sessions, storage: LocalStorage) -> str:
        return make_study(sessions, storage, assignment__practice=0, assignment__sentinels=2, check=CHECK)

    def check(self, client: TestClient, url: str, *answers: str) -> Any:
        return client.post(f"{url}/check", json={"answers": answers})

    def test_trials_come_after_it(self, client: TestClient, checked: str) -> None:
        url = enrol(client, checked, "ann")
        assert client.get(f"{url}/trials").status_code == 403
        assert self.check(client, url, "yes", "a").json() == {"passed": False, "tries_left": 1, "wrong": [0]}
        assert self.check(client, url, "no", "a").json() == {"passed": True, "tries_left": 1, "wrong": []}
        assert self.check(client, url, "yes", "b").json()["passed"], "passed is passed"
        assert len(open_trials(client, url)) == 42

    def test_two_tries(self, client: TestClient, checked: str) -> None:
        url = enrol(client, checked, "ben")
        for tries_left in (1, 0):
            assert self.check(client, url, "yes", "b").json() == {
                "passed": False,
                "tries_left": tries_left,
                "wrong": [0, 1],
            }
        assert self.check(client, url, "no", "a").status_code == 403
        for path in ("", "/trials"):
            assert client.get(f"{url}{path}").status_code == 403
        body = {"participant": "ben", "consent": True}
        assert client.post(f"/studies/{checked}/assignments", json=body).json()["url"] == url
        assert len(open_trials(client, self.passed(client, checked, "cem"))) == 42, "the slots are free again"

    def passed(self, client: TestClient, slug: str, person: str) -> str:
        url = enrol(client, slug, person)
        assert self.check(client, url, "no", "a").json()["passed"]
        return url

    def test_wrong_numbers_of_answers_cost_no_try(self, client: TestClient, checked: str) -> None:
        url = enrol(client, checked, "dan")
        for answers in ((), ("no",), ("no", "a", "a")):
            assert self.check(client, url, *answers).status_code == 422
        assert self.check(client, url, "yes", "a").json()["tries_left"] == 1
