"""`admin …` and `forecast`."""

import json
import re
import shutil
from pathlib import Path

import pytest

from app.db import open_sessions
from app.domain import protocol
from app.errors import NotSignedIn
from app.services.accounts import accounts, api_tokens, login
from app.settings import Settings
from tests.cli.conftest import Run
from tests.support.factories import make_slug


def test_an_account_from_the_command_line_signs_in(run: Run, home: Path, cli_database: str) -> None:
    email = f"{make_slug()}@example.org"

    def told(verb: str) -> str:
        said = run("admin", verb, email).stdout
        found = re.search(r"password (\S+)", said)
        assert found is not None, said
        return found[1]

    first = told("create")
    second = told("password")
    with open_sessions(Settings(LOOKALIKE_HOME=home, DATABASE_URL=cli_database)) as sessions, sessions() as session:
        assert accounts.authenticate(session, email=email, password=first) is None
        account = accounts.authenticate(session, email=email, password=second)
        assert account is not None
        assert account.is_site_owner
    again = run("admin", "create", email)
    assert (again.exit_code, "already an account" in again.stderr) == (2, True)
    assert run("admin", "password", "nobody@example.org").exit_code == 1


def test_a_password_given_anew_ends_sign_ins_and_says_what_stays(run: Run, home: Path, cli_database: str) -> None:
    email = f"{make_slug()}@example.org"
    run("admin", "create", email)
    with open_sessions(Settings(LOOKALIKE_HOME=home, DATABASE_URL=cli_database)) as sessions:
        with sessions.begin() as session:
            account = accounts.by_email(session, email)
            cookie, _ = login.start(session, account=account)
            api_tokens.make(session, account=account, name="nightly", scope="read")
        assert "API tokens stay in force: nightly." in run("admin", "password", email).stdout
        with sessions() as session, pytest.raises(NotSignedIn):
            login.require(session, cookie)
        assert "stay in force" not in run("admin", "password", email, "--revoke-tokens").stdout
        with sessions() as session:
            assert api_tokens.in_force(session, accounts.by_email(session, email)) == []


@pytest.mark.parametrize("what", ["nights-2afc", "bapps-2afc", "study"])
def test_forecast(run: Run, what: str) -> None:
    if what == "study":
        what = make_slug()
        run("study", "create", what, "--protocol", "nights-2afc", "--set", "rounds=6")
    expected = json.loads(run("forecast", what, "--items", 500, "--lapse", 0.1, "--json").stdout)
    assert expected["rounds"][0]["votes"]["low"] <= expected["rounds"][0]["votes"]["mean"]
    said = run("forecast", what, "--items", 500)
    assert said.exit_code == 0
    assert "fail their sentinels" in said.stdout
    assert run("forecast", "no-such-study").exit_code == 1


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("GBP", 2), ("KWD", 3)])
def test_a_forecast_is_in_major_units(run: Run, tmp_path: Path, currency: str, digits: int) -> None:
    presets = shutil.copytree(Path(protocol.__file__).parent / "presets", tmp_path / "presets")
    study = presets / "bapps-2afc.toml"
    study.write_text(re.sub(r"(?m)^\[pay\]$", f'[pay]\\ncurrency = "{currency}"', study.read_text()))
    minor = json.loads(run("forecast", study, "--items", 50, "--json").stdout)["total"]["cost"]["mean"]
    assert 100 < minor < 10_000
    assert f"{minor / 10**digits:,.{digits}f}" in run("forecast", study, "--items", 50).stdout
