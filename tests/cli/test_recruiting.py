"""`recruit`, `reconcile` and `people` as they are typed."""

import json
import secrets
import socket
from pathlib import Path

import pytest

from app.db import open_sessions
from app.keys import load_keys
from app.services import audit, study_lookup
from app.settings import Settings
from app.storage import LocalStorage
from tests.cli.conftest import Run
from tests.support.assignments import sit
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL


def test_recruiting_from_the_command_line(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    with open_sessions(settings) as sessions:
        paid = make_study(sessions, LocalStorage(settings.images), items=16, **SMALL)
        free = make_study(sessions, LocalStorage(settings.images), items=40, recruiting__invitations=True)
    assert "does not recruit yet" in run("recruit", "status", paid).stderr
    assert "has no recruiter" in run("recruit", "start", free).stderr
    assert "set PROLIFIC_TOKEN and PROLIFIC_WORKSPACE" in run("recruit", "start", paid).stderr
    with monkeypatch.context() as environment:
        environment.setenv("PROLIFIC_TOKEN", "secret")
        environment.setenv("PROLIFIC_WORKSPACE", "ours")
        assert "sent to http://127.0.0.1:8000, which only" in run("recruit", "start", paid).stderr
        assert "does not recruit yet" in run("recruit", "status", paid).stderr
        environment.setenv("PUBLIC_URL", "http://lab.example")
        assert "without encryption" in run("recruit", "start", paid).stderr
        environment.setenv("PROLIFIC_URL", "http://127.0.0.1:9")
        assert "without encryption" in run("recruit", "start", paid).stderr
        environment.delenv("PROLIFIC_URL")
        assert "does not recruit yet" in run("recruit", "status", paid).stderr
        environment.setenv("PUBLIC_URL", "https://lab.example")
        assert run("recruit", "start", paid).exit_code == 0
    monkeypatch.chdir(home.parent)
    rehearsal = run("demo", "--recruiter", "prolific", "--port", 0)
    assert (rehearsal.exit_code, paid in rehearsal.stderr) == (1, True)
    assert f"lookalike demo --recruiter prolific --port 0 --home {home.parent}/rehearsal\n" in rehearsal.stderr
    (home.parent / "rehearsal").mkdir()
    assert "rehearsal-2\n" in run("demo", "--recruiter", "prolific", "--port", 0).stderr, "not the one that is there"
    standing = json.loads(run("recruit", "status", paid, "--json").stdout)
    assert (standing["cap"], standing["free"], standing["submissions"]) == (50_000, 50_000, {})
    assert "£500.00 of £500.00 free" in run("recruit", "status", paid).stdout
    assert run("recruit", "resume", paid).stdout == "0 notices are dealt with.\n"
    with open_sessions(settings) as sessions, sessions() as session:
        log = audit.entries(session, study_id=study_lookup.by_slug(session, paid).id)
    assert [(entry.actor, entry.action) for entry in log] == [
        ("command line", "went on recruiting"), ("command line", "began recruiting"),
    ]  # fmt: skip
    invited = run("recruit", "invite", free, "--count", 3)
    assert "PUBLIC_URL is not set" in invited.stderr
    links = invited.stdout.splitlines()
    assert len({link.partition("?invitation=")[2] for link in links}) == 3
    for refused, why in [
        (("recruit", "top-up", paid), "reaches the hourly floor already"),
        (("recruit", "top-up", paid, "--amount", 50), "nobody who was paid"),
        (("recruit", "settle-bonus", 10**6, "--paid"), "There is no batch"),
        (("recruit", "approve", 10**6), "No recruiter knows"),
        (("recruit", "webhooks"), "Set PROLIFIC_TOKEN"),
        (("recruit", "invite", paid, "--count", 1), "is not by invitation"),
        (("reconcile", paid), "set PROLIFIC_TOKEN and PROLIFIC_WORKSPACE"),
        (("reconcile", free), "does not recruit yet"),
    ]:
        result = run(*refused)
        assert result.exit_code in (1, 2), refused
        assert why in result.stderr, (refused, result.stderr)


def test_people_from_the_command_line(run: Run, home: Path) -> None:
    settings, ada = Settings(), f"ada-{secrets.token_hex(4)}"
    with open_sessions(settings) as sessions:
        slug = make_study(sessions, LocalStorage(settings.images), items=40, assignment__trials=5)
        sit(sessions, load_keys(settings), slug, ada, lambda _: 0)
    pseudonym = run("people", "find", "direct", ada).stdout.strip()
    theirs = json.loads(run("people", "export", pseudonym).stdout)
    assert [known["id"] for known in theirs["recruiter_ids"]] == [ada, ada]
    for answer in ("", "n\n"):
        refused = run("people", "erase", pseudonym, input=answer)
        assert refused.exit_code == 1
        assert f"deletes who {pseudonym} is and what they answered: 20 judgments in {slug}" in refused.stderr
        assert "Nothing was changed" in refused.stderr
    assert len(json.loads(run("people", "export", pseudonym).stdout)["recruiter_ids"]) == 2
    erased = json.loads(run("people", "erase", pseudonym, "--yes", "--json").stdout)
    assert (erased["judgments"], erased["studies"]) == (20, [slug])
    assert json.loads(run("people", "export", pseudonym).stdout)["recruiter_ids"] == []
    assert "Nobody here is called" in run("people", "erase", "pnobody").stderr
    assert "Nobody of that id" in run("people", "find", "direct", "bob").stderr


def test_erasing_after_being_asked(run: Run, home: Path) -> None:
    settings, bob = Settings(), f"bob-{secrets.token_hex(4)}"
    with open_sessions(settings) as sessions:
        slug = make_study(sessions, LocalStorage(settings.images), items=40, assignment__trials=5)
        sit(sessions, load_keys(settings), slug, bob, lambda _: 0)
    pseudonym = run("people", "find", "direct", bob).stdout.strip()
    assert f"Erased {pseudonym}: 20 judgments in {slug}." in run("people", "erase", pseudonym, input="y\n").stdout


def test_a_taken_port_names_the_whole_command(run: Run, home: Path, tmp_path: Path) -> None:
    """What a message says to run is what was run, on another port: else two messages may name each other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = run("demo", "--recruiter", "prolific", "--port", port, "--home", tmp_path / "a rehearsal").stderr
        assert f"lookalike demo --recruiter prolific --home '{tmp_path}/a rehearsal' --port {port + 1}\n" in said
        assert f"lookalike serve --home {home} --port {port + 1}\n" in run("serve", "--port", port).stderr
