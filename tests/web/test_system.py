"""The system page, its failed jobs, and the figures for Prometheus."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import queue
from app.db import Sessions
from app.main import create_app
from app.settings import Settings
from tests.support.dashboard import Visitor, make_account, page_of, sign_in

LOCAL = ("127.0.0.1", 1)


@pytest.fixture(scope="module")
def ada(client: TestClient, sessions: Sessions) -> Visitor:
    return sign_in(client, sessions, make_account(sessions, is_site_owner=True))


def fail_a_job(sessions: Sessions, *, lock: str) -> int:
    """A job that somebody began and that failed."""
    with sessions.begin() as session:
        queue._defer(session, "lookalike.test", queueing_lock=lock)
        mine = text(
            "UPDATE procrastinate_jobs SET status = :to WHERE queueing_lock = :lock AND status = :from RETURNING id"
        )
        session.execute(mine, {"to": "doing", "from": "todo", "lock": lock})
        return int(session.scalars(mine, {"to": "failed", "from": "doing", "lock": lock}).one())


def test_failed_jobs_are_put_back_once(client: TestClient, sessions: Sessions, ada: Visitor) -> None:
    job, other = fail_a_job(sessions, lock="once"), fail_a_job(sessions, lock="once")
    status = page_of(ada.get("/admin/system")).system
    assert {job, other} <= {each.id for each in status.failed_jobs}
    assert [each.name for each in status.queues] == list(queue.QUEUES)
    assert status.schema
    somebody = sign_in(client, sessions, make_account(sessions))
    assert somebody.get("/admin/system").status_code == 403
    assert somebody.post(f"/admin/system/jobs/{job}/retry").status_code == 403
    assert ada.post(f"/admin/system/jobs/{job}/retry").status_code == 303
    assert ada.post(f"/admin/system/jobs/{job}/retry").status_code == 404
    assert ada.post(f"/admin/system/jobs/{other}/retry").status_code == 409  # its like waits already
    left = page_of(ada.get("/admin/system"))
    assert other in {each.id for each in left.system.failed_jobs}
    assert job not in {each.id for each in left.system.failed_jobs}
    with sessions() as session:
        logged = text("SELECT count(*) FROM audit_log WHERE action = 'put back the failed job' AND subject = :job")
        assert session.scalar(logged, {"job": str(job)}) == 1


def test_metrics_are_for_this_machine_or_a_token(settings: Settings) -> None:
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8000", client=LOCAL) as near:
        near.get("/healthz")
        near.get("/studies/nothing-here")
        figures = near.get("/metrics").text
        assert near.get("/metrics", headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 404
    assert 'lookalike_requests_total{method="GET",route="/healthz",status="200"} 1.0' in figures
    assert 'route="/studies/{slug}",status="404"' in figures
    assert "nothing-here" not in figures
    assert 'lookalike_jobs{queue="default",state="waiting"}' in figures
    with TestClient(create_app(settings), client=("10.0.0.1", 1)) as far:
        assert far.get("/metrics").status_code == 404
    guarded = Settings(LOOKALIKE_HOME=settings.home, DATABASE_URL=settings.database_url, METRICS_TOKEN="x" * 16)
    with TestClient(create_app(guarded), client=("10.0.0.1", 1)) as far:
        assert far.get("/metrics").status_code == 404
        assert far.get("/metrics", headers={"Authorization": "Bearer " + "x" * 16}).status_code == 200
