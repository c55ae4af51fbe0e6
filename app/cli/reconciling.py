"""`reconcile`."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import HOME, AsJson, Home, out, plain_errors, print_json, require_home, settings_for
from app.cli.studies import Name
from app.db import open_sessions
from app.domain.counted import counted
from app.keys import load_keys
from app.services.recruiting import reconciliation
from app.services.recruiting.reconciliation import Reconciliation
from app.services.recruiting.status import Pair


def reconcile(
    name: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would do, and change nothing on either side.")
    ] = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Compare a study with its recruiter, bring both together as the worker does every minute, and list side by side
    what still differs. Ends with 1 where they could not be compared, or where the recruiter has refused something.

    Example: lookalike reconcile shoes --dry-run
    """
    with plain_errors():
        settings = settings_for(home)
        require_home(settings)
        go = reconciliation.rehearse if dry_run else reconciliation.reconcile
        with open_sessions(settings) as sessions:  # a look is the worker's, whoever sets it off
            found = go(sessions, load_keys(settings), settings, slug=name)
    if as_json:
        _print_json(found, dry_run=dry_run)
    else:
        _print(found, dry_run=dry_run)
    if found.refusals or not found.is_complete:
        raise typer.Exit(1)


def _print_json(found: Reconciliation, *, dry_run: bool) -> None:
    rest = asdict(found)
    print_json(rest.pop("report") | rest | {"compared": found.is_complete, "dry_run": dry_run})


def _print(found: Reconciliation, *, dry_run: bool) -> None:
    report = found.report
    are = "would be" if dry_run else "are being"
    out.print(
        f"{counted(report.news, 'submission was', 'submissions were')} news, {report.approved} {are} approved, "
        f"{counted(report.strangers, 'sitting is', 'sittings are')} unknown to the recruiter."
    )
    for problem in dict.fromkeys(report.problems + report.refused + found.refusals):
        out.print(f"[yellow]{escape(problem)}[/]")
    if dry_run:
        _print_plan(found)
    if not found.is_complete:
        out.print("[bold red]The two sides could not be compared.[/]")
    elif found.differences:
        out.print(_table(found.differences))
    elif not report.read:
        out.print("The recruiter has nothing of this study yet, so there is nothing to compare.")
    else:
        out.print("Both sides agree.")
    if found.refusals:
        out.print(f"Recruiting is stopped. Once that is mended: lookalike recruit resume {report.study}")


def _print_plan(found: Reconciliation) -> None:
    for line in found.would:
        out.print(f"  at the recruiter it would {escape(line)}")
    for notice in found.notices:
        out.print(f"  here it would say: {escape(notice)}")
    if not (found.would or found.notices):
        out.print("  it would change nothing else")
    out.print("[dim]Nothing was changed, on either side.[/]")


def _table(differences: list[Pair]) -> Table:
    table = Table("submission", "there", "assignment", "here", "booked", "not in order", box=None)
    for pair in differences:
        cells = (pair.submission, pair.there, pair.assignment, pair.here, pair.booked, pair.odd)
        table.add_row(*("–" if cell is None else str(cell) for cell in cells))
    return table
