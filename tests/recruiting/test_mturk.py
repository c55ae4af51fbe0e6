"""MTurk's protocol against a strict fake, whose requests and answers botocore's own model judges."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from app.db import Sessions
from app.domain.money import fees_on
from app.errors import Unavailable
from app.keys import Keys
from app.main import create_app
from app.models.assignments import Assignment
from app.recruiters.configured import calling
from app.recruiters.mturk.api import Api
from app.recruiters.mturk.recruiter import Mturk
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, Refused
from app.services import study_lookup
from app.services.recruiting import bonuses
from app.settings import Settings
from app.storage import LocalStorage
from app.web.admin.studies.protocol_form import form_groups
from simulation.mturk.marketplace import MturkMarketplace
from simulation.mturk.server import FakeMturk
from simulation.serving import serve
from tests.recruiting.conftest import IMPATIENT
from tests.recruiting.test_prolific import draft
from tests.support.assignments import answer
from tests.support.dashboard import make_account, page_of, sign_in
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import PUBLIC_URL, SMALL, TERMS, Fates, PaidStudy, agree

ON_MTURK = SMALL | {"recruiting__recruiter": "mturk", "pay__currency": "USD"}
FEES = fees_on(date(2026, 11, 1), "mturk", TERMS)
SUBMIT_TO = "https://workersandbox.mturk.com"


@pytest.fixture
def turk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMturk]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    fake = FakeMturk(MturkMarketplace())
    yield fake
    assert fake.violations == []


@pytest.fixture
def turk_url(turk: FakeMturk) -> Iterator[str]:
    with serve(turk) as url:
        yield url


@pytest.fixture
def mturk(turk_url: str) -> Iterator[Mturk]:
    with closing(Api(turk_url, patience=IMPATIENT)) as api:
        yield Mturk(api, fees=FEES)


def test_a_study_is_a_hit_type_and_its_places_are_small_hits(mturk: Mturk, turk: FakeMturk) -> None:
    market = turk.marketplace
    turk.mischief.next += [("lose", "CreateQualificationType", ""), ("lose", "CreateHITWithHITType", "")]
    study = mturk.create_study(draft(places=20))
    assert mturk.create_study(draft(places=20)) == study, "twice it is the same"
    assert [hit.places for hit in market.hits.values()] == [9, 9, 2]
    told = mturk.study(study)
    assert (told.state, told.places, told.reward, told.url) == ("open", 20, 120, "https://lab.example/studies/shoes")
    assert (mturk.find_study("shoes 1 abc", project=""), mturk.find_study("boots", project="")) == (study, None)
    mturk.pause(study)
    assert (mturk.study(study).state, market.take_place(study)) == ("paused", None)
    mturk.set_places(study, 21)
    assert (mturk.study(study).state, mturk.study(study).places) == ("open", 21)
    work = [market.take_place(study) for _ in range(21)]
    assert all(work)
    assert market.take_place(study) is None
    assert (mturk.study(study).state, mturk.study(study).unlisted) == ("ended", 21)
    assert mturk.submissions(study) == [], "MTurk does not say who is at work"
    second = mturk.create_study(draft(reference="shoes 2 abc", excluded_studies=(study,)))
    market.submit(work[0].id, None)  # type: ignore[union-attr]
    mturk.approve([work[0].id])  # type: ignore[union-attr]
    assert market.take_place(second, work[0].participant) is None, "approved in the first, barred from the second"  # type: ignore[union-attr]
    assert market.take_place(second, work[1].participant) is not None  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [0, 19, 20, 21, 40, 41])
def test_every_submission_of_every_page(mturk: Mturk, turk: FakeMturk, count: int) -> None:
    study = mturk.create_study(draft(places=1))
    (hit,) = turk.marketplace.hits.values()
    hit.places = max(count, 1)  # a compatible service's: ours are smaller
    taken = [turk.marketplace.take_place(study) for _ in range(count)]
    for one in taken:
        turk.marketplace.submit(one.id, None)  # type: ignore[union-attr]
    assert [found.id for found in mturk.submissions(study)] == [one.id for one in taken if one]


def test_decisions_and_bonuses_happen_once(mturk: Mturk, turk: FakeMturk) -> None:
    market = turk.marketplace
    study = mturk.create_study(draft(places=3))
    first, second, third = (market.take_place(study) for _ in range(3))
    assert first
    assert second
    assert third
    for one in (first, second, third):
        market.submit(one.id, None)
    for kind in ("throttle", "error", "html", "lose"):
        turk.mischief.next += [(kind, "ApproveAssignment", "")] * 2  # type: ignore[list-item]
        mturk.approve([first.id])
    turk.mischief.next.clear()
    turk.mischief.next += [("lose", "RejectAssignment", "")]
    mturk.reject(second.id, category="", message="Every instruction trial was missed.")
    assert [first.status, second.status, third.status] == ["APPROVED", "REJECTED", "AWAITING REVIEW"]
    assert mturk.charged(study) == 120 + 24
    with pytest.raises(Refused, match="cannot ask"):
        mturk.request_return(third.id, reason="")

    def pay() -> None:
        quote = mturk.quote_bonuses(study, {first.id: 425})
        assert (quote.amount, quote.total) == (425, 510)
        mturk.pay_bonuses(quote.id)

    turk.mischief.next += [("throttle", "SendBonus", "")]
    pay()
    turk.mischief.next += [("lose", "SendBonus", "")]
    with pytest.raises(OutcomeUnclear, match="given before"):
        pay()
    turk.mischief.next += [("throttle", "SendBonus", "")] * IMPATIENT.tries
    with pytest.raises(NothingHappened, match="patience"):
        pay()
    assert first.bonuses == [425, 425], "one for each that was not refused, however often it was asked for"
    stranger = mturk.quote_bonuses(study, {f"{first.assignment}:ASTRANGER": 425})
    with pytest.raises(Refused, match="has not handed in"):
        mturk.pay_bonuses(stranger.id)
    market._funds = 0
    with pytest.raises(Refused, match="does not have the funds"):
        mturk.approve([third.id])


def test_what_the_model_forbids_is_noticed(mturk: Mturk, turk: FakeMturk, turk_url: str) -> None:
    study = mturk.create_study(draft(places=1))
    for operation, given, problem in [
        ("list_hits", {"MaxResults": 101}, "out of range"),
        ("get_assignment", {"AssignmentId": "lower case"}, "does not match"),
        ("send_bonus", {"WorkerId": "B1", "BonusAmount": "1", "AssignmentId": "A", "Reason": "x"}, "does not match"),
        (
            "create_qualification_type",
            {"Name": "n", "Description": "d", "QualificationTypeStatus": "Asleep"},
            "is none of Active",
        ),
        ("create_hit_with_hit_type", {"HITTypeId": study, "LifetimeInSeconds": 29}, "LifetimeInSeconds"),
    ]:
        with closing(Api(turk_url, patience=IMPATIENT)) as api, pytest.raises(Refused, match=problem):
            api.call(operation, **given)
    turk.violations.clear()


def test_a_whole_study(sessions: Sessions, storage: LocalStorage, keys: Keys, mturk: Mturk, turk: FakeMturk) -> None:
    slug = make_study(
        sessions, storage, items=16, rounds=2, min_votes=2, brakes__return_rate=1.0, pay__budget=20_000, **ON_MTURK
    )
    fates = Fates(returned_early=0.1, timed_out=0.1, twice=0.3)
    paid = PaidStudy(sessions, keys, mturk, turk, slug, agree, fates=fates)  # type: ignore[arg-type]
    turk.mischief.rates = {"throttle": 0.1, "lose": 0.05, "error": 0.05, "html": 0.03}
    paid.run()
    paid.check_books()
    paid.check_votes()
    turk.mischief.rates = {}
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug)
        people = bonuses.paid_assignments(session, study)
        bonuses.grant(
            session, study=study, amount=30, reason="thanks", assignments=people, terms=TERMS, today=paid.today
        )
    bonuses.send(sessions, keys, mturk, study_id=paid.study_id)
    paid.check_books()
    assert [one.bonuses for one in turk.marketplace.submissions.values() if one.bonuses] == [[30]] * len(people)


@pytest.fixture
def web(settings: Settings, turk_url: str) -> Iterator[TestClient]:
    deployed = Settings(
        LOOKALIKE_HOME=settings.home,
        DATABASE_URL=settings.database_url,
        PUBLIC_URL=PUBLIC_URL,
        MTURK_ENDPOINT_URL=turk_url,
    )
    with TestClient(create_app(deployed), follow_redirects=False) as web:
        yield web


def test_the_way_through_the_frame(
    web: TestClient, client: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    slug = make_study(sessions, storage, items=24, **ON_MTURK)
    url = f"/studies/{slug}"
    arrived = {"assignmentId": "3ABC", "workerId": "A1", "hitId": "3HIT", "turkSubmitTo": f"{SUBMIT_TO}/"}

    def sign_up(**changed: str) -> Any:
        return web.post(f"{url}/assignments", json={**arrived, **changed, "consent": True})

    preview = {"assignmentId": "ASSIGNMENT_ID_NOT_AVAILABLE", "hitId": "3HIT", "turkSubmitTo": SUBMIT_TO}
    page = web.get(url, params=preview, headers={"Accept": "text/html"})
    assert "accept the task" in page.text
    assert "<form" not in page.text
    assert "frame-ancestors https://www.mturk.com https://worker.mturk.com" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in web.get("/admin").headers["content-security-policy"]
    for changed, status in [
        ({"assignmentId": "ASSIGNMENT_ID_NOT_AVAILABLE"}, 403),
        ({"turkSubmitTo": "https://evil.example"}, 403),
        ({"turkSubmitTo": ""}, 422),
        ({"workerId": ""}, 422),
        ({"workerId": "B1"}, 422),
    ]:
        assert sign_up(**changed).status_code == status, changed
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        assert session.scalar(select(func.count()).where(Assignment.study_id == study.id)) == 0
    first, again, other = sign_up(), sign_up(), sign_up(workerId="A2")
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 201]
    assert first.json() == again.json() != other.json(), "an id given back may come again with another worker"
    answer(sessions, first.json()["token"], agree)
    done = web.post(f"/assignments/{first.json()['token']}/complete").json()
    assert done["redirect"] is None
    assert done["ending"] == {
        "kind": "form",
        "url": f"{SUBMIT_TO}/mturk/externalSubmit",
        "fields": {"assignmentId": "3ABC", "completion_code": done["completion_code"]},
    }
    page = web.get(f"/assignments/{first.json()['token']}", headers={"Accept": "text/html"})
    assert f'action="{SUBMIT_TO}/mturk/externalSubmit"' in page.text
    assert web.cookies == client.cookies == {}
    # A deployment without MTurk lets nobody in from there, and nobody frame it.
    closed = client.get(url, params=arrived, headers={"Accept": "text/html"})
    assert (closed.status_code, "frame-ancestors 'none'" in closed.headers["content-security-policy"]) == (503, True)


def test_a_rejection_there_is_a_message_and_nothing_else(
    web: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys, mturk: Mturk, turk: FakeMturk
) -> None:
    slug = make_study(sessions, storage, items=16, **ON_MTURK)
    paid = PaidStudy(sessions, keys, mturk, turk, slug, agree)  # type: ignore[arg-type]
    paid.look()
    (study,) = turk.marketplace.studies
    submission = turk.marketplace.take_place(study)
    assert submission is not None
    assert paid.arrive(submission)  # type: ignore[arg-type]
    turk.marketplace.submit(submission.id, None)  # without having finished, so that nobody is paid by itself
    paid.look()
    ada = sign_in(web, sessions, make_account(sessions, is_site_owner=True))
    (line,) = page_of(ada.get(f"/admin/studies/{slug}/assignments")).lines
    url = f"/admin/studies/{slug}/assignments/{line.id}"
    assert [*page_of(ada.get(url)).decisions] == ["approve", "reject", "block"]
    assert [field.name for field in page_of(ada.get(f"{url}/decide/reject")).fields] == ["message"]
    assert ada.post(f"{url}/decide/return", {"reason": "Did not finish"}).status_code == 409
    assert ada.post(f"{url}/decide/reject", {"message": "Every sentinel was missed."}).status_code == 303
    assert [one.status for one in turk.marketplace.submissions.values()] == ["REJECTED"]


def test_it_is_off_unless_configured(settings: Settings) -> None:
    assert "Amazon closed MTurk on 30 September 2026" in str(form_groups("2afc")), "whoever chooses it reads so"
    with pytest.raises(Unavailable, match="closed MTurk on 30 September 2026"), calling(settings, "mturk"):
        pass
