"""`report`, `exclude` and `reinstate` from the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import sessionmaker

from app.db import Sessions, make_engine
from app.keys import Keys
from app.services.reports import statistics
from app.storage import LocalStorage
from tests.cli.conftest import Run
from tests.services.test_quality import FIXED, sit
from tests.support.factories import make_slug, make_study


@pytest.fixture
def cli_sessions(cli_database: str) -> Iterator[Sessions]:
    engine = make_engine(cli_database)
    yield sessionmaker(engine)
    engine.dispose()


def test_report_exclude_and_reinstate(
    run: Run, cli_sessions: Sessions, storage: LocalStorage, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "REPLICATES", 20)
    slug = make_study(cli_sessions, storage, items=14, **FIXED)
    careful, careless = (
        sit(cli_sessions, keys, slug, f"{slug}-{wrong}", lambda trial, wrong=wrong: (trial.answer or 0) ^ wrong)
        for wrong in (0, 1)
    )
    page = tmp_path / "report.html"
    shown = run("report", slug, "--out", page)
    assert shown.exit_code == 0
    assert "agreement of two people" in shown.stdout
    assert "4 of 8 sentinels missed; 1 of 2 sittings failed" in shown.stdout
    assert "Missed 4 of 4 attention checks; 1 may be missed." in shown.stdout
    assert page.read_text().startswith("<!doctype html>")

    assert run("exclude", careless, "--reason", "pressed [left]").exit_code == 0
    twice = run("exclude", careless, "--reason", "again")
    assert (twice.exit_code, twice.stdout) == (1, "")
    assert f"Assignment {careless} is excluded already" in twice.stderr
    assert "pressed [left]" in twice.stderr
    found = json.loads(run("report", slug, "--out", page, "--json").stdout)
    assert [line["excluded"] for line in found["sittings"]] == [None, "pressed [left]"]
    assert found["agreement"]["votes"] == 12
    assert found["agreement"]["alpha"]["estimate"] is None

    assert run("reinstate", careless, "--reason", "it was us").stdout.startswith(f"Reinstated assignment {careless}")
    never = run("reinstate", careful, "--reason", "it was us")
    assert (never.exit_code, "is not excluded" in never.stderr) == (1, True)
    empty = run("exclude", careful, "--reason", "")
    assert (empty.exit_code, "Say why" in empty.stderr) == (2, True)


def test_a_report_on_an_empty_study_writes_nothing(run: Run, tmp_path: Path) -> None:
    slug = make_slug()
    run("study", "create", slug, "--protocol", "nights-2afc")
    result = run("report", slug, "--out", tmp_path / "report.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no valid votes yet, so there is nothing to report. It is draft" in result.stderr
    assert list(tmp_path.iterdir()) == []
