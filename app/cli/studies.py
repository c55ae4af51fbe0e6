"""`study …`, `status` and `simulate`."""

import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from app.cli.console import HOME, AsJson, Home, err, opened, out, plain_errors, print_json, progress_bar, settings_for
from app.cli.server_address import DEFAULT_ADDRESS, public_address, require_server, running_server
from app.cli.status_table import status_view
from app.domain import protocol as protocols
from app.domain.counted import counted
from app.domain.protocol import Protocol
from app.domain.sentinel_strength import weakness
from app.errors import BadInput
from app.services import study_lookup
from app.services.studies import lifecycle
from app.services.studies.derive import derive_study
from app.services.studies.status import StudyStatus, study_status
from app.settings import Settings
from app.storage import open_storage
from simulation.crowd import CrowdPlan, CrowdReport, run_crowd
from simulation.observers import KINDS, Kind

study = typer.Typer(help="Make studies and steer them.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The study's name.")]


@study.command("create")
def create(
    name: Name,
    protocol: Annotated[str, typer.Option(help="A preset's name or a TOML file.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the protocol.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything that is drawn.", min=0, max=2**31 - 1)] = None,
    home: Home = HOME,
) -> None:
    """Make a draft study.

    Example: lookalike study create shoes --protocol nights-2afc --set assignment.trials=40
    """
    with plain_errors():
        loaded = protocols.load(protocol, overrides=_overrides(override or []))
        with opened(settings_for(home)) as sessions, sessions.begin() as session:
            lifecycle.create(session, slug=name, protocol=loaded, seed=seed)
    out.print(f"Made the draft study [bold]{name}[/]. Next: lookalike import --help")
    if loaded.missing_texts:
        out.print(f"It cannot be opened before its protocol has {' and '.join(loaded.missing_texts)}.")
    _warn(loaded)


def _warn(protocol: Protocol) -> None:
    """Of what may well be meant so, but should be known."""
    if problem := weakness(protocol):
        err.print(f"[yellow]{problem}[/]", soft_wrap=True)


def _overrides(pairs: list[str]) -> dict[str, str]:
    overrides = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise BadInput(f"--set takes KEY=VALUE (got {pair!r}).")
        overrides[key.strip()] = value.strip()
    return overrides


@study.command("derive")
def derive(
    source: Annotated[str, typer.Argument(help="A study that was exported.")],
    name: Annotated[str, typer.Argument(help="The new study's name.")],
    protocol: Annotated[str, typer.Option(help="A preset's name or a TOML file.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the protocol.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes everything that is drawn.", min=0, max=2**31 - 1)] = None,
    home: Home = HOME,
) -> None:
    """Make a draft study from the items that another study's last export kept; in JND each triplet becomes two pairs.

    Example: lookalike study derive shoes shoes-jnd --protocol nights-jnd
    """
    with plain_errors():
        loaded = protocols.load(protocol, overrides=_overrides(override or []))
        settings = settings_for(home)
        with opened(settings) as sessions, progress_bar() as report:
            derived = derive_study(
                sessions,
                open_storage(settings),
                source=source,
                slug=name,
                protocol=loaded,
                seed=seed,
                report=report,
            )
    out.print(
        f"Made the draft study [bold]{name}[/] with {counted(derived.items, 'item')} that version {derived.version} of "
        f"{source} kept. Next: lookalike study open {name}"
    )
    _warn(loaded)


@study.command("open")
def open_(name: Name, home: Home = HOME) -> None:
    """Open a draft or paused study to participants.

    Example: lookalike study open shoes
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions.begin() as session:
            lifecycle.open_study(session, slug=name)
    link = f"{public_address(settings)}/studies/{name}?participant=ID"
    is_served = settings.has_public_url or running_server(settings.home) is not None
    when = "" if is_served else ", once the server runs (lookalike up)"
    out.print(f"[bold]{name}[/] is open. Participants' link, with an id for each{when}: {link}")


@study.command("pause")
def pause(name: Name, home: Home = HOME) -> None:
    """Stop new assignments for now; those under way go on.

    Example: lookalike study pause shoes
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        lifecycle.pause(session, slug=name)
    out.print(f"[bold]{name}[/] is paused. Open it again with: lookalike study open {name}")


@study.command("close")
def close(name: Name, home: Home = HOME) -> None:
    """Stop new assignments for good.

    Example: lookalike study close shoes
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        lifecycle.close(session, slug=name)
    out.print(f"[bold]{name}[/] is closed. Its dataset: lookalike export {name} OUT")


@study.command("list")
def list_(as_json: AsJson = False, home: Home = HOME) -> None:
    """List the studies.

    Example: lookalike study list --json
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions() as session:
        lines = lifecycle.list_studies(session)
    if as_json:
        print_json(lines)
        return
    if not lines:
        out.print("No studies yet. Make one: lookalike study create --help")
        return
    table = Table("study", "kind", "status", "round", "items", "made", box=None, header_style="dim")
    for line in lines:
        made = line.created_at[:10]
        table.add_row(line.slug, line.kind, line.status, f"{line.round}/{line.rounds}", f"{line.items:,}", made)
    out.print(table)


def status(
    name: Name,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing until the study is finished.")] = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Show how a study stands: rounds, survivors, votes, speed, and when it may end.

    Example: lookalike status shoes --watch
    """
    with plain_errors():
        settings = settings_for(home)
        if as_json:
            print_json(_status(settings, name))
        elif watch:
            _watch(settings, name)
        else:
            out.print(status_view(_status(settings, name)))


def _status(settings: Settings, name: str) -> StudyStatus:
    with opened(settings) as sessions, sessions() as session:
        return study_status(session, study_lookup.by_slug(session, name))


def _watch(settings: Settings, name: str) -> None:
    with opened(settings) as sessions, Live(console=out, refresh_per_second=4) as live:
        while True:
            with sessions() as session:
                current = study_status(session, study_lookup.by_slug(session, name))
            live.update(status_view(current))
            if current.status in ("finished", "closed"):
                return
            try:
                time.sleep(1)
            except KeyboardInterrupt:
                return


def simulate(
    name: Name,
    participants: Annotated[int, typer.Option(min=1, help="How many people come at most.")],
    concurrency: Annotated[int, typer.Option(min=1, max=500, help="How many at a time.")] = 8,
    answers: Annotated[str, typer.Option(help="latent: by the generator's distances; recorded: replay.")] = "latent",
    seed: Annotated[int, typer.Option(help="Fixes who answers what.")] = 1,
    url: Annotated[
        str | None, typer.Option(help="The server's address.", show_default="that of this home's server")
    ] = None,
    noise: Annotated[float, typer.Option(min=1e-6, help="latent: decision noise (SD).")] = 1.0,
    lapse: Annotated[float, typer.Option(min=0, max=1, help="latent: share of lapses.")] = 0.02,
    mix: Annotated[
        list[str] | None,
        typer.Option("--mix", metavar="KIND=SHARE", help=f"Not all attentive: a share of {', '.join(KINDS[1:])}."),
    ] = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Let a simulated crowd take part over HTTP.

    Example: lookalike simulate shoes --participants 200 --answers recorded --mix left-presser=0.1
    """
    with plain_errors():
        if answers not in ("latent", "recorded"):
            raise BadInput(f"--answers is latent or recorded (got {answers!r}).")
        plan = CrowdPlan(
            slug=name,
            participants=participants,
            concurrency=concurrency,
            answers="latent" if answers == "latent" else "recorded",
            seed=seed,
            noise=noise,
            lapse=lapse,
            mix=_mix(mix or []),
        )
        with opened(settings_for(home)) as sessions, progress_bar() as show:
            with sessions() as session:
                study_lookup.by_slug(session, name)
            url = url or running_server(home) or DEFAULT_ADDRESS
            require_server(url)
            report = run_crowd(
                url, sessions, plan, on_judgment=lambda so_far: show("sittings", so_far.sittings, participants)
            )
    if as_json:
        print_json({key: value for key, value in vars(report).items() if key != "acknowledged"})
    else:
        out.print(crowd_line(report))


def _mix(pairs: list[str]) -> dict[Kind, float]:
    shares: dict[Kind, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        kind = next((kind for kind in KINDS if kind == name.strip()), None)
        if kind is None:
            raise BadInput(f"--mix takes KIND=SHARE with one of {', '.join(KINDS)} (got {pair!r}).")
        try:
            shares[kind] = float(value)
        except ValueError:
            raise BadInput(f"--mix takes KIND=SHARE, such as {kind}=0.1 (got {pair!r}).") from None
    if not (all(0 <= share <= 1 for share in shares.values()) and sum(shares.values()) <= 1 + 1e-9):
        raise BadInput("The shares of --mix are from 0 to 1, and together at most 1.")
    return shares


def crowd_line(report: CrowdReport) -> str:
    per_second = report.judgments / report.seconds if report.seconds else 0
    return (
        f"{counted(report.sittings, 'sitting')}, {counted(report.judgments, 'judgment')} in {report.seconds:.1f} s "
        f"({per_second:,.0f} a second), {counted(report.waits, 'wait')}, {counted(report.retries, 'retry', 'retries')}"
    )
