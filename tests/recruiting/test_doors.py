"""Who gets in, and who does not: Prolific's links, signed and unsigned, invitations, and Prolific's events."""

import hashlib
import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from app.db import Sessions
from app.keys import Keys
from app.main import create_app
from app.models.assignments import Assignment
from app.models.people import Identity
from app.models.recruiting import WebhookEvent
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.prolific.webhooks import subscribe
from app.services import study_lookup
from app.services.assignments import admission, lifecycle
from app.services.studies import lifecycle as study_lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.server import FakeProlific
from tests.recruiting.conftest import SECRET
from tests.support.assignments import answer
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import PUBLIC_URL, SMALL, PaidStudy, agree

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def web(deployed: Settings, sessions: Sessions) -> Iterator[TestClient]:
    """The application of a deployment that recruits on Prolific."""
    with TestClient(create_app(deployed), follow_redirects=False) as web:
        yield web


@pytest.fixture
def recruited(
    request: pytest.FixtureRequest,
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
) -> PaidStudy:
    signed = getattr(request, "param", False)
    slug = make_study(sessions, storage, items=24, recruiting__signed_links=signed, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    return paid


def arrival(paid: PaidStudy) -> dict[str, str]:
    """The parameters of somebody who has taken a place."""
    market = paid.fake.marketplace
    submission = market.take_place(next(iter(market.studies)))
    assert submission is not None
    return dict(parse_qsl(urlsplit(market.link(submission)).query))


def count(paid: PaidStudy) -> int:
    with paid.sessions() as session:
        wanted = select(func.count()).select_from(Assignment).where(Assignment.study_id == paid.study_id)
        return session.scalars(wanted).one()


def form_of(page: str) -> dict[str, str]:
    return {
        line.split('name="')[1].split('"')[0]: line.split('value="')[1].split('"')[0]
        for line in page.splitlines()
        if 'type="hidden"' in line
    }


def test_from_prolific_and_back(web: TestClient, recruited: PaidStudy) -> None:
    link = arrival(recruited)
    page = web.get(f"/studies/{recruited.slug}", params=link, headers=BROWSER)
    codes = {
        entry["code_type"]: entry["code"]
        for study in recruited.fake.marketplace.studies.values()
        for entry in study.fields["completion_codes"]
    }
    assert f"https://app.prolific.com/submissions/complete?cc={codes['NO_CONSENT']}" in page.text
    assert count(recruited) == 0, "looking at the consent creates nothing"
    signed_up = web.post(f"/studies/{recruited.slug}/assignments", data=form_of(page.text))
    assert signed_up.status_code == 303
    token = signed_up.headers["location"].removeprefix("/assignments/")
    again = web.post(f"/studies/{recruited.slug}/assignments", json={**link, "consent": True})
    assert (again.status_code, again.json()["token"]) == (200, token)
    answer(recruited.sessions, token, agree)
    done = web.post(f"/assignments/{token}/complete").json()
    back = f"https://app.prolific.com/submissions/complete?cc={codes['COMPLETED']}"
    assert done == {
        "completion_code": codes["COMPLETED"],
        "redirect": back,
        "ending": {"kind": "redirect", "url": back, "fields": {}},
    }
    assert back in web.get(f"/assignments/{token}", headers=BROWSER).text
    with recruited.sessions() as session:
        sitting = session.scalars(select(Assignment).where(Assignment.study_id == recruited.study_id)).one()
        assert (sitting.consent_version, sitting.recruiter) == (1, "prolific")


def test_whom_we_cannot_use_finds_the_way_back(web: TestClient, recruited: PaidStudy) -> None:
    link = arrival(recruited)
    with recruited.sessions.begin() as session:
        study_lifecycle.close(session, slug=recruited.slug)
    (study,) = recruited.fake.marketplace.studies.values()
    (code,) = [entry["code"] for entry in study.fields["completion_codes"] if entry["code_type"] == "SCREENED_OUT"]
    way_back = f"https://app.prolific.com/submissions/complete?cc={code}"
    assert way_back in web.get(f"/studies/{recruited.slug}", params=link, headers=BROWSER).text
    refused = web.post(f"/studies/{recruited.slug}/assignments", json={**link, "consent": True})
    assert (refused.status_code, refused.json()["return_url"]) == (410, way_back)


def test_who_fails_the_check_or_leaves_finds_the_way_back(web: TestClient, recruited: PaidStudy) -> None:
    (study,) = recruited.fake.marketplace.studies.values()
    (code,) = [entry["code"] for entry in study.fields["completion_codes"] if entry["code_type"] == "SCREENED_OUT"]
    for state, status in (("withdrawn", 410), ("screened", 403)):
        given = {**arrival(recruited), "consent": True}
        token = web.post(f"/studies/{recruited.slug}/assignments", json=given).json()["token"]
        with recruited.sessions.begin() as session:
            lifecycle.by_token(session, token).state = state
        page = web.get(f"/assignments/{token}", headers=BROWSER)
        assert (page.status_code, f"complete?cc={code}" in page.text) == (status, True)


def test_changed_or_missing_parameters(web: TestClient, recruited: PaidStudy) -> None:
    link, other = arrival(recruited), arrival(recruited)
    assert web.post(f"/studies/{recruited.slug}/assignments", json={**link, "consent": True}).status_code == 201
    for changed, status in [
        ({"PROLIFIC_PID": other["PROLIFIC_PID"]}, 403),
        ({"STUDY_ID": "0" * 24}, 403),
        ({"STUDY_ID": ""}, 422),
        ({"SESSION_ID": "<script>"}, 422),
        ({"consent_version": "2"}, 422),
        ({"consent_version": "1; DROP"}, 422),
    ]:
        given = {**(other if "consent_version" in changed else link), **changed, "consent": True}
        refused = web.post(f"/studies/{recruited.slug}/assignments", json=given)
        assert refused.status_code == status, changed
    nobody = web.get(f"/studies/{recruited.slug}", headers=BROWSER)
    assert nobody.status_code == 422
    assert "open the study from Prolific" in nobody.text
    assert count(recruited) == 1


@pytest.mark.parametrize("recruited", [True], indirect=True)
def test_signed_links(web: TestClient, recruited: PaidStudy) -> None:
    link = arrival(recruited)
    assert "prolific_token" in link
    url = f"/studies/{recruited.slug}"
    page = web.get(url, params=link, headers=BROWSER)
    form = form_of(page.text)
    assert link["SESSION_ID"] not in page.text, "the page hands on what is sealed"
    second_page = form_of(web.get(url, params=link, headers=BROWSER).text)
    assert [web.post(f"{url}/assignments", data=form).status_code for _ in range(2)] == [303, 303]
    for replayed in (second_page, {**link, "consent": "true"}):
        refused = web.post(f"{url}/assignments", data=replayed)
        assert (refused.status_code, "used before" in refused.text) == (403, True)
    assert count(recruited) == 1

    signer = recruited.fake.marketplace.signer
    plain = arrival(recruited)
    bare = f"{PUBLIC_URL}{url}?" + "&".join(f"{k}={v}" for k, v in plain.items() if k != "prolific_token")

    def token(**changed: Any) -> str:
        return signer.sign(bare, **changed).rpartition("prolific_token=")[2]

    hour = timedelta(hours=1)
    for bad, why in [
        ({"prolific_token": ""}, "has to be signed"),
        ({"prolific_token": "a.b.c"}, "not signed by Prolific"),
        ({"prolific_token": token()[:-6] + "AAAAAA"}, "not signed by Prolific"),
        ({"prolific_token": token(now=datetime.now(UTC) - hour)}, "expired"),
        ({"prolific_token": token(now=datetime.now(UTC) + hour)}, "clock of this server"),
        ({"prolific_token": token(aud="https://elsewhere.example/x")}, "another address"),
        ({"prolific_token": token(iss="https://evil.example")}, "not signed by Prolific"),
        ({"prolific_token": token(sub="0" * 24)}, "does not fit"),
        ({"PROLIFIC_PID": "0" * 24}, "does not fit"),
        ({"arrival": "gAAAA"}, "too old"),
    ]:
        refused = web.post(f"{url}/assignments", json={**plain, **bad, "consent": True})
        assert (refused.status_code, why in refused.json()["detail"]) == (403, True), (bad, refused.text)
    assert count(recruited) == 1
    assert web.post(f"{url}/assignments", json={**plain, "consent": True}).status_code == 201


def test_invitations_let_in_whoever_holds_one(
    web: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    settings = {name: value for name, value in SMALL.items() if name != "recruiting__recruiter"}
    slug = make_study(sessions, storage, items=24, recruiting__invitations=True, **settings)
    with sessions.begin() as session:
        (code,) = admission.invite(session, study=study_lookup.by_slug(session, slug), count=1)
    url = f"/studies/{slug}"
    assert web.get(url, params={"invitation": code}).status_code == 200
    body = {"invitation": code, "consent": True}
    first, again = (web.post(f"{url}/assignments", json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    for bad in ({}, {"participant": "ada"}, {"invitation": "guessed"}, {"invitation": "a b"}):
        assert web.get(url, params=bad).status_code == 403
        assert web.post(f"{url}/assignments", json={**bad, "consent": True}).status_code == 403
    with sessions() as session:
        holder = keys.lookup("participant", "direct", f"invitation-{code}")
        assert session.scalar(select(Identity.participant_id).where(Identity.lookup == holder)) is not None


def event(body: bytes, *, at: datetime | None = None, secret: str = SECRET, event_id: str = "e1") -> dict[str, str]:
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    signature = b64encode(hmac.digest(secret.encode(), stamp.encode() + body, "sha256")).decode()
    return {
        "X-Prolific-Request-Timestamp": stamp,
        "X-Prolific-Request-Signature": signature,
        "X-Event-ID": event_id,
        "Content-Type": "application/json",
    }


def jobs(sessions: Sessions) -> int:
    with sessions() as session:
        count = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'lookalike.recruit' AND status = 'todo'"
        return session.scalars(text(count)).one()


def test_events_are_hints(web: TestClient, sessions: Sessions) -> None:
    # Spaces and key order as no JSON library would write them again: the raw bytes are signed.
    body = b'{"status":  "APPROVED", "event_type": "submission.status.change", "resource_id": "64a1"}'
    before = jobs(sessions)
    for bad in (
        event(body, secret="guessed"),
        event(body + b" "),
        event(body, at=datetime.now(UTC) - timedelta(hours=1)),
        event(body, at=datetime.now(UTC) + timedelta(hours=1)),
        {**event(body), "X-Prolific-Request-Timestamp": "soon"},
        {},
    ):
        assert web.post("/hooks/prolific", content=body, headers=bad).status_code == 401
    unknown = b'{"event_type": "study.exploded"}'
    assert web.post("/hooks/prolific", content=unknown, headers=event(unknown)).status_code == 422
    assert jobs(sessions) == before
    first = event(body, event_id="e2")
    assert [web.post("/hooks/prolific", content=body, headers=first).status_code for _ in range(3)] == [204] * 3
    assert web.post("/hooks/prolific", content=body, headers=event(body, event_id="e3")).status_code == 204
    assert jobs(sessions) == 1, "one look is enough, however many events"
    with sessions() as session:
        seen = session.get(WebhookEvent, hashlib.sha256(b"e2").digest())
        assert seen is not None


def test_subscribing_answers_the_handshake(api: Api, fake: FakeProlific) -> None:
    market = fake.marketplace
    secret = subscribe(api, workspace=market.workspace, target_url=f"{PUBLIC_URL}/hooks/prolific")
    assert secret == market.hooks.secret
    events = {hook["event_type"] for hook in market.hooks.confirmed}
    assert events >= {"submission.status.change", "study.status.change"}
    assert json.dumps(market.hooks.confirmed).count(PUBLIC_URL) == len(market.hooks.confirmed)


def test_prolifics_person_on_a_direct_link(
    web: TestClient, sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    """A study made by hand there, with our direct link as its address: one person is one participant."""
    slug = make_study(sessions, storage, items=40, assignment__trials=5)
    url, person = f"/studies/{slug}", secrets.token_hex(12)
    form = form_of(web.get(url, params={"PROLIFIC_PID": person, "SESSION_ID": "first"}, headers=BROWSER).text)
    assert form["participant"] == person
    theirs = web.post(f"{url}/assignments", data=form).headers["location"]
    again = {"PROLIFIC_PID": person, "STUDY_ID": "s", "SESSION_ID": "another"}
    back = web.get(url, params=again, headers=BROWSER)
    assert (back.status_code, back.headers["location"]) == (303, theirs)
    known = web.post(f"{url}/assignments", json={**again, "consent": True})
    assert (known.status_code, known.json()["url"]) == (200, theirs)
    with sessions() as session:
        holder = keys.lookup("participant", "direct", person)
        identity = session.scalars(select(Identity).where(Identity.lookup == holder)).one()
        assert person.encode() not in (identity.ciphertext or b""), "kept encrypted"
    named = web.get(url, params={"participant": "ada", "PROLIFIC_PID": person}, headers=BROWSER)
    assert form_of(named.text)["participant"] == "ada"
    for odd, why in (
        ("{{%PROLIFIC_PID%}}", "a placeholder that nobody filled in"),
        ("a b", "PROLIFIC_PID takes 1 to 128"),
    ):
        refused = web.get(url, params={"PROLIFIC_PID": odd}, headers=BROWSER)
        assert (refused.status_code, why in refused.text) == (422, True), refused.text
