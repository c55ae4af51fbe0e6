"""A marker in every secret setting, every outside call failing in every way: no marker may be found anywhere.

What is searched: the output of commands, logs, every row of every table, every page of the dashboard and of the JSON
API, as a viewer and as an owner, and what participants see; for each marker as it is, percent-encoded, in hexadecimal
and in base64 at each of its three alignments.
"""

import base64
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import jwt
import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import make_url, text
from typer.testing import CliRunner

from app.cli import recruiting as recruiting_commands
from app.cli.main import cli
from app.db import Sessions, open_sessions
from app.domain.money import load_fees
from app.domain.roles import Role
from app.keys import load_keys
from app.main import create_app
from app.recruiters import configured
from app.recruiters.mturk import api as mturk_api
from app.recruiters.retry import Patience
from app.services import study_lookup
from app.services.recruiting import alerts, plan
from app.services.recruiting.reconcile import look_at_all
from app.settings import Settings
from app.storage import LocalStorage, s3
from app.storage import patience as storage_patience
from simulation.serving import Reply, serve
from tests.cli.conftest import in_a_process
from tests.conftest import make_database
from tests.recruiting.test_mturk import ON_MTURK
from tests.support.browser.dashboard import Showcase, make_showcase
from tests.support.dashboard import key_of, make_member, sign_in, visitor_as
from tests.support.factories import make_slug, make_study
from tests.support.recruiting.silence import silent_server

BRIEF = Patience(tries=2, first_wait_s=0.001, call_s=0.5)
Run = Callable[..., str]
SECRETS = [
    str(field.validation_alias) for field in Settings.model_fields.values() if "SecretStr" in str(field.annotation)
]


def marker(name: str) -> str:
    """Another for each, with characters that are spelt otherwise in addresses and in base64."""
    return f"MARKER+{name.replace('_', '/')}=0123456789&abcdef"


def spellings(secret: str) -> list[str]:
    plain = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), secret.encode().hex(), secret[:24]]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in (b"", b"x", b"xx"):
            encoded = encode(before + secret.encode()).decode().rstrip("=")
            plain.append(encoded[4:-4])
    return plain


_WANTED = re.compile("|".join(re.escape(one) for name in SECRETS for one in spellings(marker(name))))


@dataclass
class Search:
    """Where it was looked, how often and in how much, and what was found."""

    looked_at: dict[str, int] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def look(self, kind: str, place: str, content: str) -> None:
        self.looked_at[kind] = self.looked_at.get(kind, 0) + 1
        if hit := _WANTED.search(content):
            around = content[max(0, hit.start() - 120) : hit.end() + 40]
            self.found.append(f"{kind}, {place}: …{around}…")


def echo(headers: dict[str, str]) -> str:
    """Everything that was sent, in every spelling."""
    sent = "; ".join(f"{name}: {value}" for name, value in headers.items())
    return f"{sent} | {quote(sent)} | {base64.b64encode(sent.encode()).decode()}"


class Failing:
    """A service that fails in one way, whatever it is asked, in JSON or in S3's XML."""

    def __init__(self, way: str) -> None:
        self._way = way

    def handle(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | None:  # noqa: ARG002
        said = echo(dict(headers)).replace('"', "'")
        data = f'{{"error": {{"detail": "{said}"}}, "Message": "{said}", "__type": "RequestError"}}'
        xml = f"<Error><Code>Odd</Code><Message>{said.replace('&', '&amp;').replace('<', '')}</Message></Error>"
        spoken = xml if "x-amz-content-sha256" in {name.lower() for name in headers} and target != "/" else data
        match self._way:
            case "401" | "403" | "400" | "500":
                return Reply(int(self._way), spoken.encode())
            case "malformed":
                return Reply(200, data[:-3].encode(), {"Content-Type": "application/json"})
            case "nested":
                return Reply(200, b"[" * 100_000, {"Content-Type": "application/json"})
            case "page":
                return Reply(200, f"<!DOCTYPE html><title>{said}</title>".encode(), {"Content-Type": "text/html"})
            case "redirect":
                return Reply(302, data.encode(), {"Location": f"http://127.0.0.1:9/?{quote(said)}"})
            case "garbled":
                return Reply(200, said.encode(), {"Content-Encoding": "gzip"})
        return None  # "cut"


WAYS = ("401", "403", "400", "500", "malformed", "nested", "page", "redirect", "garbled", "cut")


@pytest.fixture(scope="module")
def planted(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a deployment whose every secret is a marker; nothing of it is reachable but the database."""
    database = make_url(make_database(server_url, make_slug()))
    environment = {name: marker(name) for name in SECRETS}
    environment |= {
        "DATABASE_URL": database.set(password=marker("DATABASE_URL")).render_as_string(hide_password=False),
        "LOOKALIKE_HOME": str(tmp_path_factory.mktemp("planted") / "home"),
        "PUBLIC_URL": "https://lab.example",
        "PROLIFIC_WORKSPACE": "w1",
        "PROLIFIC_URL": "http://127.0.0.1:9",
        "MTURK_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    return environment


@pytest.fixture(scope="module")
def sessions(planted: dict[str, str]) -> Iterator[Sessions]:
    with open_sessions(Settings(**planted)) as sessions:
        yield sessions


@pytest.fixture(scope="module")
def showcase(planted: dict[str, str], sessions: Sessions) -> Showcase:
    settings = Settings(**planted)
    return make_showcase(sessions, LocalStorage(settings.images), load_keys(settings), settings)


@pytest.fixture(scope="module")
def search() -> Iterator[Search]:
    search = Search()
    yield search
    print(search.looked_at)


@pytest.fixture(autouse=True)
def tables(search: Search, sessions: Sessions) -> Iterator[None]:
    """Whatever a test does, nothing of a secret is stored of it."""
    yield
    with sessions() as session:
        for table in session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all():
            for row in session.scalars(text(f'SELECT t::text FROM "{table}" t')):
                search.look("rows of tables", table, row)
    assert search.found == []


@pytest.fixture
def run(
    search: Search, planted: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """A command in the planted environment; all that it prints and logs is searched."""
    for api_of in (configured, recruiting_commands):
        api = api_of.Api
        monkeypatch.setattr(api_of, "Api", lambda url, token, api=api, **_: api(url, token, patience=BRIEF))
    of_mturk = mturk_api.Api
    monkeypatch.setattr(
        mturk_api, "Api", lambda url, credentials, **_: of_mturk(url, credentials=credentials, patience=BRIEF)
    )
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3_", "PROLIFIC_"))]:
        monkeypatch.delenv(name)

    def run(*arguments: object, **changed: str) -> str:
        result = CliRunner().invoke(cli, [str(one) for one in arguments], env=planted | changed)
        said = result.output + (repr(result.exception) if result.exception else "") + "".join(capfd.readouterr())
        search.look("output of commands", " ".join(map(str, arguments)), said)
        return said

    return run


@pytest.fixture(scope="module")
def studies_there(sessions: Sessions, showcase: Showcase, planted: dict[str, str]) -> dict[str, str]:
    """One that recruits at each recruiter, and one with signed links."""
    storage = LocalStorage(Settings(**planted).images)
    small = {"assignment__trials": 6, "assignment__practice": 1, "assignment__sentinels": 2}
    slugs = {
        "prolific": showcase.parameters["slug"][0],
        "mturk": make_study(sessions, storage, items=16, **(ON_MTURK | small)),
        "signed": make_study(
            sessions, storage, items=16, recruiting__recruiter="prolific", recruiting__signed_links=True, **small
        ),
    }
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slugs["mturk"])
        plan.begin(session, study=study, terms=load_fees(), today=datetime.now(UTC).date())
    return slugs


@contextmanager
def failing(way: str) -> Iterator[str]:
    """The URL of whatever fails so."""
    if way == "refused":
        yield "http://127.0.0.1:9"
    elif way == "hangs":
        with silent_server() as silence:
            yield silence.url
    elif way == "no name":
        yield "http://nowhere.invalid"
    else:
        with serve(Failing(way.removeprefix("tls "))) as url:
            yield url.replace("http://", "https://") if way.startswith("tls ") else url


EVERY_WAY = (*WAYS, "refused", "hangs", "no name", "tls 401")


@pytest.mark.parametrize("way", EVERY_WAY)
def test_recruiters_that_fail(
    way: str,
    run: Run,
    search: Search,
    planted: dict[str, str],
    sessions: Sessions,
    showcase: Showcase,
    studies_there: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    with failing(way) as url:
        environment = {"PROLIFIC_URL": url, "MTURK_ENDPOINT_URL": url}
        settings = Settings(**(planted | environment))
        run("reconcile", studies_there["prolific"], **environment)
        run("reconcile", studies_there["mturk"], "--dry-run", "--json", **environment)
        run("recruit", "webhooks", **environment)
        (assignment,) = showcase.parameters["assignment_id"]
        run("recruit", "approve", assignment, **environment)
        look_at_all(sessions, load_keys(settings), settings, patience=BRIEF)
        with TestClient(create_app(settings), follow_redirects=False) as client:
            slug = showcase.parameters["slug"][0]
            owner = sign_in(client, sessions, make_member(sessions, slug, "owner", is_site_owner=True))
            for decision, fields in (("approve", {}), ("return", {"reason": "x"})):
                page = owner.post(f"/admin/studies/{slug}/assignments/{assignment}/decide/{decision}", fields)
                search.look("pages of the dashboard", decision, page.text)
            for slug in studies_there.values():
                search.look("pages of the dashboard", slug, owner.get(f"/admin/studies/{slug}").text)
            link = jwt.encode({}, "x" * 32, headers={"kid": "1"})
            page = client.get(f"/studies/{studies_there['signed']}", params={"prolific_token": link})
            search.look("pages of participants", "signed link", page.text)
    run("recruit", "status", studies_there["prolific"])
    with sessions.begin() as session:  # for the next way to fail
        for slug in studies_there.values():
            alerts.resolve(session, study_id=study_lookup.by_slug(session, slug).id)
    search.look("logs", way, "".join(capfd.readouterr()))
    assert search.found == []


@pytest.mark.parametrize("way", ["401", "400", "500", "malformed", "redirect", "cut", "refused", "tls 401"])
def test_stores_that_fail(
    way: str,
    run: Run,
    search: Search,
    planted: dict[str, str],
    showcase: Showcase,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brief = replace(storage_patience.JOBS, asks_for_s=0.2)
    monkeypatch.setattr(storage_patience, "JOBS", brief)
    monkeypatch.setitem(s3.open_bucket.__kwdefaults__, "patience", brief)
    (slug,) = showcase.parameters["slug"]
    with failing(way) as url:
        environment = {"S3_BUCKET": "images", "S3_ENDPOINT_URL": url}
        run("storage", "create", **environment)
        run("storage", "check", **environment)
        run("export", slug, "s3://exports/one", **environment)
        with TestClient(create_app(Settings(**(planted | environment)))) as client:
            for page in ("/healthz", "/readyz"):
                search.look("pages of the server", page, client.get(page).text)
    search.look("logs", way, "".join(capfd.readouterr()))
    assert search.found == []


def test_databases_that_fail(run: Run, search: Search, planted: dict[str, str]) -> None:
    right = make_url(planted["DATABASE_URL"])
    elsewhere = right.set(query={}, host="127.0.0.1", port=9)
    secret = marker("DATABASE_URL")
    for url in (
        elsewhere,
        elsewhere.set(host="nowhere.invalid"),
        right.set(database="nothing-here"),
        right.set(username="nobody"),
        right.update_query_dict({"sslmode": "require"}),
        right.update_query_dict({"sslmode": "odd"}),
        right.update_query_dict({"unheard_of": "1"}),
        right.update_query_dict({"password": secret}),
        right.set(query={"host": right.query["host"], "port": "none"}),
    ):
        said = run("study", "list", DATABASE_URL=url.render_as_string(hide_password=False))
        assert said
    for raw in (f"postgresql://user:x@{secret}@host/name", f"postgres:{secret}", f"mysql://user:{secret}@host/name"):
        assert "DATABASE_URL must be" in run("study", "list", DATABASE_URL=raw)
    assert search.found == []


def test_secrets_that_cannot_be_sent(run: Run, search: Search, planted: dict[str, str]) -> None:
    """Pasted with a dash, or with a line end in the middle: named, and not repeated."""
    names = sorted(set(SECRETS) - {"DATABASE_URL", "SECRET_KEY"})
    for inside in ("\N{EN DASH}", "\n"):
        broken = {name: f"{marker(name)}{inside}{marker(name)}" for name in names}
        said = run("study", "list", **broken)
        worker = subprocess.run(
            [sys.executable, "-m", "worker"],
            env=os.environ | planted | broken,
            capture_output=True,
            text=True,
            check=False,
        )
        search.look("output of commands", "python -m worker", worker.stdout + worker.stderr)
        assert worker.returncode == 1
        for name in names:
            assert f"{name} must be visible ASCII" in said
            assert f"{name} must be visible ASCII" in worker.stderr
    assert search.found == []


def test_a_hub_that_fails(search: Search, planted: dict[str, str], studies_there: dict[str, str]) -> None:
    """In a process of its own: the hub's library reads its address and token as it is imported."""
    pytest.importorskip("diffusers")
    with failing("401") as url:
        command = ("generate", "gen", "--categories", "cifar10", "--per-category", 1, "--generator", "diffusers")
        done = in_a_process(*command, "--model", "lab/model", **(planted | {"HF_ENDPOINT": url}))
    search.look("output of commands", "generate", done.stdout + done.stderr)
    assert done.returncode != 0
    assert "hub" in done.stderr, "it was asked"
    assert search.found == []


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_every_page(
    role: Role,
    search: Search,
    planted: dict[str, str],
    sessions: Sessions,
    showcase: Showcase,
    studies_there: dict[str, str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What each of them can read, of the pages and of the JSON API."""
    with failing("401") as url:
        environment = {"PROLIFIC_URL": url, "MTURK_ENDPOINT_URL": url, "S3_BUCKET": "images", "S3_ENDPOINT_URL": url}
        settings = Settings(**(planted | environment))
        with TestClient(create_app(settings), follow_redirects=False) as client:
            (slug,) = showcase.parameters["slug"]
            visitor = visitor_as(client, sessions, slug, role)
            for address in showcase.addresses():
                search.look(f"pages of the dashboard, {role}", address, visitor.get(address).text)
            key = key_of(sessions, slug, role)
            for address in api_addresses(client, showcase):
                search.look(f"answers of the JSON API, {role}", address, client.get(address, headers=key).text)
            for address in ("/", "/metrics", "/readyz", "/nowhere", f"/studies/{slug}"):
                search.look("pages of the server", address, client.get(address).text)
            metrics = client.get("/metrics", headers={"Authorization": f"Bearer {marker('METRICS_TOKEN')}"})
            assert metrics.status_code == 200
            search.look("pages of the server", "/metrics", metrics.text)
    search.look("logs", role, "".join(capfd.readouterr()))
    assert search.found == []
    assert len(list(showcase.addresses())) > 50


def api_addresses(client: TestClient, showcase: Showcase) -> Iterator[str]:
    parameters = showcase.parameters | {"export_id": showcase.parameters["request_id"], "report_id": ["1"]}
    for route in iter_route_contexts(client.app.routes):  # type: ignore[attr-defined]
        path = route.path or ""
        if "GET" in (route.methods or ()) and path.startswith("/api/"):
            names = re.findall(r"{(\w+)", path)
            for values in itertools.product(*(parameters.get(name, ["1"]) for name in names)):
                yield path.format(**dict(zip(names, values, strict=True)))
