"""The page that shows programs the way: what it shows works as it is written, from a study's first report on."""

import html
import re
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db import Sessions
from app.keys import Keys
from app.models.quality import Report
from app.models.studies import ExportRequest
from app.services.accounts import accounts, api_tokens
from app.services.exports import requests as exports
from app.services.reports import requests as reports
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.assignments import sit
from tests.support.dashboard import make_account, sign_in
from tests.support.factories import make_study
from tests.support.triplet_folder import make_draft

SMALL = {"assignment__trials": 4, "assignment__practice": 1, "assignment__sentinels": 2}


def test_the_python_sample_runs(
    client: TestClient,
    live_server: str,
    sessions: Sessions,
    storage: LocalStorage,
    settings: Settings,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shoes = make_study(
        sessions, storage, items=8, assignment__trials=4, assignment__practice=1, assignment__sentinels=2
    )
    sit(sessions, keys, shoes, "ada", lambda _: 0)
    sit(sessions, keys, shoes, "eve", lambda _: 1)
    boots = make_draft(sessions)
    folder = settings.home / "imports" / "2026" / "boots"
    folder.mkdir(parents=True)
    email = make_account(sessions, is_site_owner=True)
    with sessions.begin() as session:
        token = api_tokens.make(session, account=accounts.by_email(session, email), name="sample", scope="steer")
    page = sign_in(client, sessions, email).get("/admin/api", headers={"Host": live_server.removeprefix("http://")})
    code = html.unescape(re.findall(r"<code>(import time.*?)</code>", page.text, re.S)[0])
    code = code.replace("/shoes", f"/{shoes}").replace("/boots/imports", f"/{boots}/imports")
    assert live_server in code

    def work(_: float) -> None:
        """What a worker does meanwhile."""
        with sessions() as session:
            asked = session.scalars(select(Report.id).where(Report.state == "waiting")).all()
            wanted = session.scalars(select(ExportRequest.id).where(ExportRequest.state == "waiting")).all()
        for report in asked:
            reports.run(sessions, report_id=report)
        for export in wanted:
            exports.run(sessions, storage, folder=settings.exports, request_id=export)

    monkeypatch.setattr("time.sleep", work)
    monkeypatch.chdir(tmp_path)
    names = {"token": token}
    exec(compile(code, "the sample", "exec"), names)  # noqa: S102 - our own page's
    names["api"].close()  # type: ignore[attr-defined]
    assert "of 8" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "shoes.zip") as files:
        assert any(name.endswith("judgments.parquet") for name in files.namelist())
