"""`recruit …` and `people …`."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.cli.console import HOME, AsJson, Home, Yes, confirm, err, opened, out, plain_errors, print_json, settings_for
from app.cli.server_address import public_address
from app.cli.studies import Name
from app.db import Sessions
from app.domain.counted import counted
from app.domain.money import in_words, load_fees
from app.errors import Unavailable
from app.keys import load_keys
from app.models import assignments as models
from app.models.studies import Study
from app.recruiters.configured import require_https
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.webhooks import subscribe
from app.services import audit, study_lookup
from app.services.assignments import admission, erasure
from app.services.recruiting import alerts, bonuses, plan, review
from app.services.recruiting.status import standing

recruit = typer.Typer(help="Recruit participants on a marketplace, and pay them.", no_args_is_help=True)
people = typer.Typer(help="People's data.", no_args_is_help=True)
Pseudonym = Annotated[str, typer.Argument(help="The participant's pseudonym, as exports name them.")]
Assignment = Annotated[int, typer.Argument(help="The assignment's number.")]


@recruit.command("start")
def start(name: Name, home: Home = HOME) -> None:
    """Give a study its budget and let the worker recruit for it. From here on it may cost money.

    Example: lookalike recruit start shoes
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions.begin() as session:
            study = study_lookup.by_slug(session, name)
            plan.begin_as_configured(session, study=study, settings=settings)
    out.print(
        f"[bold]{name}[/] recruits while it is open and a worker runs. How it goes: lookalike recruit status {name}"
    )


@recruit.command("status")
def status(name: Name, as_json: AsJson = False, home: Home = HOME) -> None:
    """Show places, submissions, money, real pay per hour, and what needs a human.

    Example: lookalike recruit status shoes
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions() as session:
        now = standing(session, study=study_lookup.by_slug(session, name))
    if as_json:
        print_json(now)
        return
    currency = now.currency
    table = Table(box=None, show_header=False)
    table.add_row(
        "places", f"{now.places} opened, " + ", ".join(f"{n} {s}" for s, n in sorted(now.submissions.items()))
    )
    outside = f", {in_words(now.outside, currency)} set off outside" if now.outside else ""
    spent, committed = in_words(now.spent, currency), in_words(now.committed, currency)
    table.add_row("money", f"{spent} spent, {committed} committed{outside}")
    table.add_row("", f"{in_words(now.free, currency)} of {in_words(now.cap, currency)} free")
    if now.pay is not None:
        hourly, floor = in_words(now.pay.hourly, currency), in_words(now.pay.hourly_floor, currency)
        table.add_row("pay", f"{hourly} an hour (median of {counted(now.pay.sittings, 'sitting')}), floor {floor}")
    out.print(table)
    for notice in now.notices:
        out.print(f"[yellow]{notice.kind}[/] {escape(notice.message)}")


@recruit.command("resume")
def resume(name: Name, home: Home = HOME) -> None:
    """Say that every notice was looked at, and go on recruiting.

    Example: lookalike recruit resume shoes
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        study = study_lookup.by_slug(session, name)
        resolved = alerts.resolve_seen(session, study=study)
    out.print(f"{counted(resolved, 'notice is', 'notices are')} dealt with.")


@recruit.command("top-up")
def top_up(
    name: Name,
    amount: Annotated[
        int | None, typer.Option(min=1, help="Minor units each; without it, what lifts to the floor.")
    ] = None,
    reason: Annotated[str, typer.Option(help="One bonus per person and reason.")] = "top-up to the hourly floor",
    home: Home = HOME,
) -> None:
    """Grant everybody who was paid a bonus; the worker's next look pays it.

    Example: lookalike recruit top-up shoes
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions.begin() as session:
            study = study_lookup.by_slug(session, name)
            granted = bonuses.top_up_all(
                session,
                study=study,
                amount=amount,
                reason=reason,
                terms=load_fees(settings.fees),
                today=datetime.now(UTC).date(),
            )
    out.print(f"Granted {counted(granted.people, 'bonus', 'bonuses')} of {counted(granted.amount, 'minor unit')} each.")
    if granted.erased:
        out.print(f"Erased, so that nobody can pay them any more: {counted(granted.erased, 'person', 'people')}.")


@recruit.command("settle-bonus")
def settle_bonus(
    batch: Annotated[int, typer.Argument(help="The batch that a notice names.")],
    paid: Annotated[bool, typer.Option("--paid/--not-paid", help="What the recruiter's website says.")],
    home: Home = HOME,
) -> None:
    """Say whether bonuses of unclear outcome were paid.

    Example: lookalike recruit settle-bonus 3 --paid
    """
    with plain_errors(), opened(settings_for(home)) as sessions, sessions.begin() as session:
        bonuses.settle(session, batch_id=batch, paid=paid)
    out.print(f"Batch {batch} is settled.")


@recruit.command("approve")
def approve(assignment: Assignment, home: Home = HOME) -> None:
    """Approve a submission by hand, whatever became of the sitting.

    Example: lookalike recruit approve 812
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions:
            review.approve(sessions, load_keys(settings), settings, assignment_id=assignment)
            _log(sessions, "approved the submission of", assignment)
    out.print("Asked the recruiter to approve it.")


@recruit.command("reject")
def reject(
    assignment: Assignment,
    message: Annotated[str, typer.Option(help="What the participant reads; on Prolific at least 100 characters.")],
    category: Annotated[str, typer.Option(help="Prolific's word for the ground, such as FAILED_CHECK.")] = "",
    home: Home = HOME,
) -> None:
    """Reject a submission by hand. Their votes are another decision: lookalike exclude.

    Example: lookalike recruit reject 812 --category FAILED_CHECK --message "..."
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions:
            review.reject(
                sessions, load_keys(settings), settings, assignment_id=assignment, category=category, message=message
            )
            _log(sessions, "rejected the submission of", assignment, category=category)
    out.print("Rejected.")


@recruit.command("request-return")
def request_return(
    assignment: Assignment,
    reason: Annotated[str, typer.Option(help="What the participant reads.")],
    home: Home = HOME,
) -> None:
    """Ask a participant to return their submission: nobody's approval rate suffers, and nothing is paid.

    Example: lookalike recruit request-return 812 --reason "You did not finish. Please return your submission."
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions:
            review.request_return(sessions, load_keys(settings), settings, assignment_id=assignment, reason=reason)
            _log(sessions, "asked for the return of", assignment, reason=reason)
    out.print("Asked the participant to return it.")


def _log(sessions: Sessions, action: str, assignment: int, **said: str) -> None:
    with sessions.begin() as session:
        study = session.get_one(Study, session.get_one(models.Assignment, assignment).study_id)
        audit.record(session, action, study=study, subject=f"assignment {assignment}", **said)


@recruit.command("invite")
def invite(
    name: Name, count: Annotated[int, typer.Option(min=1, max=10_000, help="How many links.")], home: Home = HOME
) -> None:
    """Make single-use links to a study by invitation. They are shown once.

    Example: lookalike recruit invite shoes --count 20 > links.txt
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions.begin() as session:
            codes = admission.invite(session, study=study_lookup.by_slug(session, name), count=count)
    if not settings.has_public_url:
        err.print("[yellow]PUBLIC_URL is not set: these links work on this machine alone.[/]", soft_wrap=True)
    address = public_address(settings)
    for code in codes:
        typer.echo(f"{address}/studies/{name}?invitation={code}")


@recruit.command("webhooks")
def webhooks(home: Home = HOME) -> None:
    """Have Prolific send its events to this server (PUBLIC_URL), so that it looks at once and not only every minute.

    Example: lookalike recruit webhooks
    """
    with plain_errors():
        settings = settings_for(home)
        if settings.prolific_token is None or not settings.prolific_workspace:
            raise Unavailable("Set PROLIFIC_TOKEN and PROLIFIC_WORKSPACE first (docs/recruiting.md).")
        require_https(settings, "prolific")
        target = f"{settings.public_url.rstrip('/')}/hooks/prolific"
        with closing(Api(settings.prolific_url, settings.prolific_token)) as api:
            secret = subscribe(api, workspace=settings.prolific_workspace, target_url=target)
    out.print("Set this for the server, then start it again:")
    typer.echo(f"PROLIFIC_WEBHOOK_SECRET={secret}")


@people.command("find")
def find(
    recruiter: Annotated[str, typer.Argument(help="direct, prolific or mturk.")],
    participant: Annotated[str, typer.Argument(help="The person as the recruiter knows them.")],
    home: Home = HOME,
) -> None:
    """Print the pseudonym of a person who writes to you under their recruiter's id.

    Example: lookalike people find prolific 5f2c...
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions() as session:
            typer.echo(erasure.find(session, load_keys(settings), recruiter=recruiter, participant=participant))


@people.command("erase")
def erase(pseudonym: Pseudonym, yes: Yes = False, as_json: AsJson = False, home: Home = HOME) -> None:
    """Delete who a participant is and what they answered; the rounds are recomputed. Asks first.

    Example: lookalike people erase pabcdefghijklmnop
    """
    with plain_errors(), opened(settings_for(home)) as sessions:
        with sessions() as session:  # done and taken back, to say what it means
            would = erasure.erase(session, pseudonym=pseudonym)
        studies_of = ", ".join(would.studies) or "no study"
        confirm(
            f"This deletes who {pseudonym} is and what they answered: {counted(would.judgments, 'judgment')} in "
            f"{studies_of}. Those studies' items are recomputed, and their reports deleted. It cannot be taken back.",
            yes=yes,
        )
        with sessions.begin() as session:
            erased = erasure.erase(session, pseudonym=pseudonym)
    if as_json:
        print_json(erased)
        return
    out.print(
        f"Erased {pseudonym}: {counted(erased.judgments, 'judgment')} in {', '.join(erased.studies) or 'no study'}."
    )
    if erased.exports:
        out.print(f"These exports hold the pseudonym, and are yours to delete: {', '.join(erased.exports)}")


@people.command("export")
def export(pseudonym: Pseudonym, home: Home = HOME) -> None:
    """Print everything that is kept about a participant, as JSON.

    Example: lookalike people export pabcdefghijklmnop > theirs.json
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, sessions() as session:
            print_json(erasure.personal_data(session, load_keys(settings), pseudonym=pseudonym))
