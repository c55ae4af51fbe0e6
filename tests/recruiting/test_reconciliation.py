"""Comparing both sides: what is said when that was not possible, and what a dry run shows and leaves alone."""

import json
import re
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions
from app.keys import Keys
from app.recruiters import configured
from app.recruiters.prolific.recruiter import Prolific
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.server import TOKEN, FakeProlific
from tests.recruiting.conftest import IMPATIENT
from tests.support.assignments import answer
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, PaidStudy, agree


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    api = configured.Api
    monkeypatch.setattr(configured, "Api", lambda url, token, **_: api(url, token, patience=IMPATIENT))


@pytest.fixture
def paid(sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific) -> PaidStudy:
    """Nothing is at Prolific yet."""
    slug = make_study(sessions, storage, items=24, rounds=2, min_votes=2, **SMALL)
    return PaidStudy(sessions, keys, prolific, fake, slug, agree)


def reconcile(paid: PaidStudy, deployed: Settings, *options: str, **changed: str) -> Result:
    assert deployed.database_url is not None
    environment = {
        "DATABASE_URL": deployed.database_url.get_secret_value(),
        "PUBLIC_URL": deployed.public_url,
        "PROLIFIC_URL": deployed.prolific_url,
        "PROLIFIC_TOKEN": TOKEN,
        "PROLIFIC_WORKSPACE": deployed.prolific_workspace,
        "COLUMNS": "120",
    }
    arguments = ["reconcile", paid.slug, "--home", str(deployed.home), *options]
    return CliRunner().invoke(cli, arguments, env=environment | changed)


def everything(paid: PaidStudy) -> dict[str, Any]:
    """What either side knows of the study, in one value to compare."""
    ours = ("recruitments", "budgets", "notices", "assignments", "items", "slots")
    theirs = "SELECT t.* FROM {} t JOIN recruitments r ON r.id = recruitment_id WHERE study_id = :study"
    wanted = {name: f"SELECT * FROM {name} WHERE study_id = :study" for name in ours}
    wanted |= {name: theirs.format(name) for name in ("submissions", "bonus_batches")}
    wanted["jobs"] = "SELECT count(*) FROM procrastinate_jobs WHERE :study > 0"
    market = paid.fake.marketplace
    with paid.sessions() as session:
        rows = {name: session.execute(text(sql), {"study": paid.study_id}).all() for name, sql in wanted.items()}
    here = {name: sorted(map(str, found)) for name, found in rows.items()}
    return here | {"there": repr((market.studies, market.submissions))}


@pytest.mark.parametrize("at", ["the first look", "a later look"])
def test_who_is_away_cannot_be_compared(paid: PaidStudy, deployed: Settings, at: str) -> None:
    if at == "a later look":
        paid.look()
        assert "Both sides agree." in reconcile(paid, deployed).stdout
    for options in ((), ("--dry-run",)):
        away = reconcile(paid, deployed, *options, PROLIFIC_URL="http://127.0.0.1:9")
        assert away.exit_code == 1
        assert "Prolific cannot be reached: connection refused." in away.stdout
        assert "could not be compared" in away.stdout
        assert "agree" not in away.stdout
    told = json.loads(reconcile(paid, deployed, "--json", PROLIFIC_URL="http://127.0.0.1:9").stdout)
    assert (told["compared"], told["differences"]) == (False, [])


def test_who_refuses_cannot_be_compared_and_stays_so(paid: PaidStudy, deployed: Settings) -> None:
    for _ in range(2):  # the second look finds the study stopped, and calls nobody
        refused = reconcile(paid, deployed, PROLIFIC_TOKEN="somebody-else's")
        assert refused.exit_code == 1
        assert "Invalid token" in refused.stdout
        assert "could not be compared" in refused.stdout
        assert "agree" not in refused.stdout
        assert f"lookalike recruit resume {paid.slug}" in refused.stdout


def test_a_dry_run_shows_what_a_look_would_do_and_does_nothing(paid: PaidStudy, deployed: Settings) -> None:
    before, asked = everything(paid), []
    paid.fake.on_exchange = lambda exchange: asked.append(exchange.method)
    rehearsed = reconcile(paid, deployed, "--dry-run")
    assert rehearsed.exit_code == 0
    assert re.search(r"at the recruiter it would create a study with \d+ places at £1.20 each\n", rehearsed.stdout)
    assert "it would publish the new study\n" in rehearsed.stdout
    assert everything(paid) == before
    assert set(asked) == {"GET"}


def test_a_dry_run_of_a_study_under_way(paid: PaidStudy, deployed: Settings) -> None:
    paid.look()
    market = paid.fake.marketplace
    (study,) = market.studies.values()
    completes, returns = market.take_place(study.id), market.take_place(study.id)
    assert completes is not None
    assert returns is not None
    token = paid.arrive(completes)
    assert token is not None
    answer(paid.sessions, token, agree)
    market.submit(completes.id, study.fields["completion_codes"][0]["code"])
    study.fields["reward"] += 1
    before, asked = everything(paid), []
    paid.fake.on_exchange = lambda exchange: asked.append(exchange.method)
    told = json.loads(reconcile(paid, deployed, "--dry-run", "--json").stdout)
    assert (told["news"], told["approved"], told["compared"], told["dry_run"]) == (2, 0, True, True)
    assert told["would"] == [f"pause the study {study.id}"]
    assert ["instead of" in notice for notice in told["notices"] if notice.startswith("edited")] == [True]
    assert everything(paid) == before
    assert set(asked) == {"GET"}
