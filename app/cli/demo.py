"""`lookalike demo`: the main job on embedded defaults, from drawn triplets to an exported dataset."""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.live import Live
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from app.cli.admin import new_password
from app.cli.console import HOME, Home, err, out, plain_errors, progress_bar, settings_for
from app.cli.serving import HOST, Host, Port, as_given, require_port, server_child
from app.cli.status_table import status_view
from app.cli.studies import crowd_line
from app.cli.supervisor import Child, restart_dead, running, wait_until_serving
from app.db import Sessions, open_sessions
from app.domain import protocol as protocols
from app.domain.counted import counted
from app.domain.money import in_words
from app.errors import Conflict, LookalikeError
from app.keys import load_keys
from app.queue import defer_recruiting
from app.services import study_lookup
from app.services.accounts import accounts
from app.services.exports.export import ExportResult, export_study
from app.services.items.items import add_items, pool_of
from app.services.recruiting.plan import begin_as_configured
from app.services.recruiting.reconcile import look_at, recruiting_slugs
from app.services.recruiting.status import standing
from app.services.studies import lifecycle
from app.services.studies.status import study_status
from app.settings import Settings
from app.storage import open_storage
from simulation.crowd import CrowdPlan, CrowdReport, run_crowd
from simulation.prolific.crowd import guests, sending_events
from simulation.prolific.marketplace import Marketplace
from simulation.prolific.server import TOKEN, FakeProlific
from simulation.serving import serve as serve_fake

TRIPLETS = 96
RESEARCHER = "demo@localhost"
SITTING = {"assignment.trials": "16", "assignment.practice": "3", "assignment.sentinels": "4"}


def demo(
    port: Port = 8000,
    host: Host = HOST,
    exit_when_done: Annotated[bool, typer.Option("--exit-when-done", help="End after the export.")] = False,
    recruiter: Annotated[
        Literal["direct", "prolific"], typer.Option(help="Where the crowd comes from; prolific: a local imitation.")
    ] = "direct",
    home: Home = HOME,
) -> None:
    """Run the main job: draw triplets, let a simulated crowd judge them round by round, export the dataset.

    Example: lookalike demo --recruiter prolific --home rehearsal
    """
    with plain_errors():
        settings = settings_for(home)
        command = "demo" if recruiter == "direct" else f"demo --recruiter {recruiter}"
        require_port(host, port, command=as_given(command, host, home))
        err.print("[bold]Lookalike[/] [dim]· a study from drawn triplets to a filtered dataset[/]")
        with err.status("Starting the database"):
            context = open_sessions(settings, migrate=True)
            sessions = context.__enter__()
        try:
            if recruiter != "direct":
                elsewhere = as_given(f"{command} --port {port}", host, _fresh_home(home))
                _require_nobody_recruited(settings, sessions, elsewhere=elsewhere)
            with _marketplace(settings, f"http://{host}:{port}", recruiter) as (settings, market):
                _run(settings, sessions, market, host=host, port=port, exit_when_done=exit_when_done)
        except KeyboardInterrupt:
            again = "Run it again for another round: your" if recruiter == "direct" else "Your"
            err.print(f"[dim]Stopped. {again} data stay in[/]", str(home))
        finally:
            context.__exit__(None, None, None)


def _fresh_home(home: Path) -> Path:
    """One that there is not, beside this one: an earlier rehearsal that was broken off left its study recruiting."""
    names = itertools.chain(["rehearsal"], (f"rehearsal-{number}" for number in itertools.count(2)))
    return next(fresh for name in names if not (fresh := home.with_name(name)).exists())


def _require_nobody_recruited(settings: Settings, sessions: Sessions, *, elsewhere: str) -> None:
    """The worker looks at every study that recruits, and the imitated crowd takes every place that it finds.

    Raises:
        Conflict: there is such a study; names the command to run instead, `elsewhere`.
    """
    with sessions() as session:
        recruiting = recruiting_slugs(session)
    if recruiting:
        shared = "" if settings.database_url is None else " and without DATABASE_URL"
        raise Conflict(
            f"There are studies here that recruit ({', '.join(recruiting)}), and the rehearsal would publish them on "
            f"the imitation and spend their budgets. Rehearse in a home of its own{shared}: lookalike {elsewhere}"
        )


@contextmanager
def _marketplace(settings: Settings, url: str, recruiter: str) -> Iterator[tuple[Settings, Marketplace | None]]:
    """For `prolific`, an imitation that runs while the block does, and the settings with which it is called."""
    if recruiter == "direct":
        yield settings, None
        return
    market = Marketplace()
    with serve_fake(FakeProlific(market)) as prolific_url, sending_events(market, url):
        environment = {
            "PUBLIC_URL": url,
            "PROLIFIC_URL": prolific_url,
            "PROLIFIC_TOKEN": TOKEN,
            "PROLIFIC_WORKSPACE": market.workspace,
            "PROLIFIC_WEBHOOK_SECRET": market.hooks.make_secret(),
        }
        os.environ |= environment  # for the server and the worker
        yield Settings(LOOKALIKE_HOME=settings.home), market


def _run(
    settings: Settings, sessions: Sessions, market: Marketplace | None, *, host: str, port: int, exit_when_done: bool
) -> None:
    url = f"http://{host}:{port}"
    children = [
        server_child(host, port, settings.home, command="demo"),
        Child("worker", ["worker", "--home", str(settings.home)]),
    ]
    with running(children):
        wait_until_serving(url, children)
        crowds, yours = _make_studies(settings, sessions, market)
        err.print(f"Judge some yourself: [bold cyan]{url}/studies/{yours}?participant=you[/]")
        err.print(f"Watch it from the dashboard: [bold cyan]{url}/admin[/]  [dim]{_researcher(sessions)}[/]")
        report = _watch_crowd(sessions, children, url, crowds, market)
        out.print(f"The crowd: {crowd_line(report)}")
        if market is not None:
            out.print(_money_line(settings, sessions, crowds))
        exported = _export(settings, sessions, crowds)
        counts = exported.counts
        out.print(
            f"The dataset: [bold]{counts['kept']}[/] of {counted(counts['items'], 'triplet')} that everybody sees "
            f"alike, in [cyan]{exported.path}[/]"
        )
        if exit_when_done:
            return
        err.print(f"The server goes on at [cyan]{url}[/] [dim](Ctrl-C to stop)[/]")
        while True:
            restart_dead(children)
            time.sleep(0.2)


def _researcher(sessions: Sessions) -> str:
    """How to sign in: an account made for the first demo of a home, with a new password each time."""
    password = new_password()
    with sessions.begin() as session:
        if accounts.is_known(session, RESEARCHER):
            accounts.set_password(session, account=accounts.by_email(session, RESEARCHER), password=password)
        else:
            accounts.create(session, email=RESEARCHER, password=password, is_site_owner=True)
    return f"{RESEARCHER}, password {password}"


def _make_studies(settings: Settings, sessions: Sessions, market: Marketplace | None) -> tuple[str, str]:
    """Two studies of the same kind: one for the crowd, and one that stays open for whoever runs the demo."""
    from worker.procedural_generator import add_drawn

    with sessions() as session:
        taken = {line.slug for line in lifecycle.list_studies(session)}
    turn = next(turn for turn in range(1, len(taken) + 2) if f"demo-{turn}" not in taken)
    protocol = protocols.load("nights-2afc", overrides=SITTING)
    paid = protocols.load("nights-2afc", overrides=SITTING | {"recruiting.recruiter": "prolific"})
    crowds, yours = f"demo-{turn}", f"try-{turn}"
    with sessions.begin() as session:
        lifecycle.create(session, slug=crowds, protocol=protocol if market is None else paid, seed=turn)
        lifecycle.create(session, slug=yours, protocol=protocol, seed=turn)
    with progress_bar() as report:
        add_drawn(sessions, open_storage(settings), slug=crowds, count=TRIPLETS, report=report)
    with sessions.begin() as session:
        drawn = pool_of(session, study=study_lookup.by_slug(session, crowds))
        add_items(session, study=study_lookup.by_slug(session, yours), items=drawn)
        crowd_study = lifecycle.open_study(session, slug=crowds)
        lifecycle.open_study(session, slug=yours)
        if market is not None:
            begin_as_configured(session, study=crowd_study, settings=settings)
            defer_recruiting(session)
    return crowds, yours


def _watch_crowd(
    sessions: Sessions, children: list[Child], url: str, slug: str, market: Marketplace | None
) -> CrowdReport:
    """Let the crowd judge and show the rounds until the study is finished."""
    # Slow enough to watch: a sitting takes a few seconds, the ten rounds about a minute.
    plan = CrowdPlan(slug=slug, participants=1000, concurrency=8, think_s=0.1)
    reports: list[CrowdReport | LookalikeError] = []

    def judge() -> None:
        try:
            sent = None if market is None else guests(market, is_over=lambda: _is_over(sessions, slug))
            reports.append(run_crowd(url, sessions, plan, guests=sent))
        except LookalikeError as error:
            reports.append(error)

    crowd = threading.Thread(target=judge, name="crowd", daemon=True)
    crowd.start()
    with Live(console=err, refresh_per_second=8) as live:
        while crowd.is_alive():
            with sessions() as session:
                live.update(status_view(study_status(session, study_lookup.by_slug(session, slug))))
            restart_dead(children)
            crowd.join(0.25)
        with sessions() as session:
            live.update(status_view(study_status(session, study_lookup.by_slug(session, slug))))
    if not err.is_terminal:
        err.line()  # Live ends its last line on terminals alone
    (report,) = reports
    if isinstance(report, LookalikeError):
        raise report
    return report


def _is_over(sessions: Sessions, slug: str) -> bool:
    with sessions() as session:
        return study_lookup.by_slug(session, slug).finished_at is not None


def _money_line(settings: Settings, sessions: Sessions, slug: str) -> str:
    """What the study cost, once the recruiter's last word is in our books."""
    keys = load_keys(settings)
    for attempt in Retrying(
        stop=stop_after_attempt(20), wait=wait_fixed(0.5), retry=retry_if_exception_type(Conflict), reraise=True
    ):
        with attempt:
            look_at(sessions, keys, settings, slug=slug)
            with sessions() as session:
                now = standing(session, study=study_lookup.by_slug(session, slug))
            if now.committed:
                raise Conflict("The recruiter has not settled the last submissions yet.")
    approved, spent = now.submissions.get("APPROVED", 0), in_words(now.spent, now.currency)
    return f"The money: {spent} for {counted(approved, 'sitting')}, fees included, of {in_words(now.cap, now.currency)}"


def _export(settings: Settings, sessions: Sessions, slug: str) -> ExportResult:
    with progress_bar() as report:
        return export_study(sessions, open_storage(settings), slug=slug, out=settings.exports / slug, report=report)
