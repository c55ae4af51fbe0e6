"""`exclude`, `reinstate` and `report`."""

import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.console import HOME, AsJson, Home, err, opened, out, plain_errors, print_json, settings_for
from app.services import study_lookup
from app.services.assignments.exclusions import exclude_by_hand, reinstate_by_hand
from app.services.study_lookup import current_protocol

Assignment = Annotated[int, typer.Argument(help="Its number, as in the report and in assignments.parquet.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; stays with the decision and is exported.")]


def exclude(assignment: Assignment, reason: Reason, home: Home = HOME) -> None:
    """Make the votes of an assignment void, for now or for good; the items are restated at once.

    Example: lookalike exclude 17 --reason "pressed left throughout"
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        exclude_by_hand(session, assignment_id=assignment, reason=reason, actor=_whoever())
    out.print(
        f"Excluded assignment [bold]{assignment}[/]. To take it back: lookalike reinstate {assignment} --reason …"
    )


def reinstate(assignment: Assignment, reason: Reason, home: Home = HOME) -> None:
    """Use the votes of an excluded assignment again: they return to their place.

    Example: lookalike reinstate 17 --reason "wrote that their screen was broken"
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        reinstate_by_hand(session, assignment_id=assignment, reason=reason, actor=_whoever())
    out.print(f"Reinstated assignment [bold]{assignment}[/]: its votes count again.")


def _whoever() -> str:
    """Who sits at this terminal, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return "command line"


def report(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    out_file: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write the page; it may be there already.")
    ] = Path("report.html"),
    worker_models: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write what Dawid–Skene and GLAD make of the votes (slow)."),
    ] = None,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Show how far people agree and which sittings look odd, and write it as a page with plots.

    Example: lookalike report shoes --out shoes.html
    """
    # Here and not above: plots and statistics are slow to load, and no other command needs them.
    from app.cli.report_table import report_view
    from app.services.reports.page import report_html
    from app.services.reports.statistics import study_report
    from app.services.reports.worker_models import write_worker_models

    with plain_errors():
        with opened(settings_for(home)) as sessions, err.status("Computing"), sessions() as session:
            study = study_lookup.by_slug(session, name)
            found = study_report(session, study)
            page = report_html(found, current_protocol(session, study.id))
            if worker_models is not None:
                write_worker_models(session, study, worker_models)
        out_file.write_text(page, encoding="utf-8")
        if as_json:
            print_json(found)
            return
        out.print(report_view(found))
        out.print(f"Written to [cyan]{escape(str(out_file))}[/]")
