"""Reports that a worker makes: asked for, made, looked at and downloaded, by people and by programs."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from app.db import Sessions
from app.keys import Keys
from app.models.quality import Report
from app.queue import REPORT
from app.services import study_lookup
from app.services.assignments import erasure
from app.services.reports import requests, statistics
from app.services.reports.statistics import study_report
from app.services.reports.summary import summary_of
from app.settings import Settings
from app.storage import LocalStorage
from tests.services.test_jnd import sit as sit_at_pairs
from tests.services.test_quality import FIXED, rightly, sit, wrongly
from tests.support.dashboard import Visitor, key_of, make_account, page_of, sign_in, visitor_as
from tests.support.factories import make_report, make_study
from worker.reporting import add_reports
from worker.tasks import make_worker_app


@pytest.fixture(scope="module", autouse=True)
def _few_replicates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "REPLICATES", 20)
        yield


@pytest.fixture(scope="module")
def ada(client: TestClient, sessions: Sessions) -> Visitor:
    return sign_in(client, sessions, make_account(sessions, is_site_owner=True))


@pytest.fixture
def judged(sessions: Sessions, storage: LocalStorage, keys: Keys) -> str:
    """Three people's votes; the last one misses every sentinel."""
    slug = make_study(sessions, storage, items=14, **FIXED | {"quality__failed_sentinels": '"propose"'})
    for number, respond in enumerate((rightly, rightly, wrongly)):
        sit(sessions, keys, slug, f"{slug}-{number}", respond)
    return slug


def to_come(sessions: Sessions, slug: str) -> Report | None:
    with sessions() as session:
        return requests.report_status(session, study_lookup.by_slug(session, slug)).to_come


def work(database_url: str, sessions: Sessions, settings: Settings, slug: str) -> None:
    """What the worker does with the job of the study's report."""
    asked = to_come(sessions, slug)
    assert asked is not None
    worker = make_worker_app(database_url, sessions, settings)
    add_reports(worker, sessions)
    with sessions() as session:
        jobs = text("SELECT args FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo'")
        assert {"report_id": asked.id} in session.scalars(jobs, {"name": REPORT}).all()
    worker.tasks[REPORT](report_id=asked.id)


def test_a_report_from_asking_to_download(
    ada: Visitor, client: TestClient, sessions: Sessions, database_url: str, settings: Settings, judged: str
) -> None:
    url, api = f"/admin/studies/{judged}/report", f"/api/v1/studies/{judged}/report"
    key = key_of(sessions, judged, "researcher")
    eve = visitor_as(client, sessions, judged, "viewer")
    assert "Make a report" in ada.get(url).text
    assert "Make a report" not in eve.get(url).text
    none = client.get(api, headers=key)
    assert (none.status_code, none.json()["detail"]) == (
        404, f"No report of the study {judged!r} has been made yet: ask for one.",
    )  # fmt: skip

    assert ada.post(url).status_code == 303
    asked = client.post(api, headers=key)  # it is the same one
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    assert asked.json()["asked_by"].endswith("@example.org")
    assert "is being made" in client.get(api, headers=key).json()["detail"]
    assert "hx-get" in eve.get(f"{url}/progress").text
    work(database_url, sessions, settings, judged)
    assert eve.get(f"{url}/progress").headers["HX-Refresh"] == "true"

    with sessions() as session:
        expected = study_report(session, study_lookup.by_slug(session, judged))
    page = page_of(eve.get(url))
    assert page.digest.agreement == expected.agreement
    assert (page.digest.votes, page.votes, page.standing.to_come) == (36, 36, None)
    assert [measure.name for measure in page.measures] == [name for name, _ in statistics.measures(expected.agreement)]
    (found,) = page.digest.found
    assert (found.assignment, found.findings[0].name) == (expected.sittings[2].assignment, "sentinel_misses")
    assert f'href="/admin/studies/{judged}/assignments/{found.assignment}"' in eve.get(url).text
    chart = eve.get(f"{url}/charts/sentinels.json").json()
    (rows,) = chart["datasets"].values()
    assert {"missed": 4, "sittings": 1, "which": "failed"} in rows
    assert "4,1,failed\n" in eve.get(f"{url}/charts/sentinels.csv").text
    assert eve.get(f"{url}/charts/survival.json").status_code == 404  # nothing is dropped here
    told = client.get(api, headers=key).json()
    assert told["report"] == json.loads(json.dumps(asdict(expected)))
    assert (told["made"]["state"], told["to_come"]) == ("done", None)
    assert eve.get(f"{url}/report.json").json() == told["report"]
    file = eve.get(f"{url}/report.html")
    assert file.text.startswith("<!doctype html>")
    assert file.headers["Content-Disposition"] == f'attachment; filename="{judged}-report.html"'

    many = [replace(expected.sittings[2], assignment=n, excluded="odd" if n < 3 else None) for n in range(200)]
    shown = summary_of(replace(expected, sittings=many), votes=36, figures={})
    assert (shown.with_findings, [sitting.assignment for sitting in shown.found]) == (200, list(range(3, 103)))


def test_what_fails_says_why_and_a_killed_worker_is_no_obstacle(
    ada: Visitor, sessions: Sessions, keys: Keys, judged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/admin/studies/{judged}/report"
    ada.post(url)
    first = to_come(sessions, judged)
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(requests, "study_report", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            requests.run(sessions, report_id=first.id)
    page = ada.get(url)
    assert "Something went wrong; the worker&#39;s log says what." in page.text
    assert "Make a report" in page.text

    ada.post(url)
    with sessions.begin() as session:  # a worker has begun it, and is gone
        session.execute(text("UPDATE reports SET state = 'running' WHERE id = :id"), {"id": first.id})
    requests.run(sessions, report_id=first.id)
    assert page_of(ada.get(url)).standing.made.id == first.id

    ada.post(url)
    requests.run(sessions, report_id=first.id)  # a job that comes twice changes nothing
    page = page_of(ada.get(url))
    assert (page.standing.made.id, page.standing.to_come.state) == (first.id, "waiting")
    with sessions() as session, pytest.raises(IntegrityError, match="uq_reports_one_done_one_to_come"):
        session.execute(insert(Report).values(study_id=study_lookup.by_slug(session, judged).id, asked_by=""))
    requests.run(sessions, report_id=page.standing.to_come.id)
    with sessions() as session:
        second = requests.made(session, study_lookup.by_slug(session, judged))
        assert second.id != first.id
        assert session.get(Report, first.id) is None  # the new one has taken its place


def test_whoever_is_erased_is_in_no_report(ada: Visitor, sessions: Sessions, judged: str) -> None:
    url = f"/admin/studies/{judged}/report"
    make_report(sessions, judged)
    (found,) = page_of(ada.get(url)).digest.found
    with sessions.begin() as session:
        erasure.erase(session, pseudonym=found.participant)
    assert page_of(ada.get(url)).digest is None


def test_a_study_without_votes_has_nothing_to_report(
    ada: Visitor, client: TestClient, sessions: Sessions, storage: LocalStorage
) -> None:
    slug = make_study(sessions, storage, items=4, is_open=False)
    assert "Nothing to report yet" in ada.get(f"/admin/studies/{slug}/report").text
    assert ada.post(f"/admin/studies/{slug}/report").status_code == 409
    refused = client.post(f"/api/v1/studies/{slug}/report", headers=key_of(sessions, slug, "owner"))
    assert (refused.status_code, "no valid votes yet" in refused.json()["detail"]) == (409, True)


def test_a_report_of_pairs(ada: Visitor, sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    slug = make_study(sessions, storage, items=8, preset="nights-jnd", assignment__trials=6, assignment__practice=1,
                      assignment__sentinels=2)  # fmt: skip
    sit_at_pairs(sessions, keys, slug, "ada", lambda _, candidate: candidate == 1)
    make_report(sessions, slug)
    page = page_of(ada.get(f"/admin/studies/{slug}/report"))
    assert (page.item, page.digest.sensitivity is not None, page.digest.filter) == ("pair", True, None)
    assert "candidate" not in "".join(measure.meaning for measure in page.measures)
