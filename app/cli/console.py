"""What all commands share: the home, the two consoles, progress bars, and errors said plainly."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import OperationalError

from app.db import Sessions, open_sessions
from app.errors import BadInput, LookalikeError, NoSuchStudy, NotFound, os_error_in_words
from app.outside import explain
from app.postgres import PostgresUnavailable
from app.services import audit, study_lookup
from app.settings import Settings, read_settings

out = Console(soft_wrap=True)
err = Console(stderr=True)

Home = Annotated[Path, typer.Option("--home", envvar="LOOKALIKE_HOME", help="Where the data lie.", show_default=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first: for scripts.")]
HOME = Path(".lookalike")


def settings_for(home: Path) -> Settings:
    """The environment's settings for this home.

    Raises:
        BadInput: a variable is wrong; names it, but not its value, which may be secret.
    """
    return read_settings(LOOKALIKE_HOME=home)


@contextmanager
def opened(settings: Settings) -> Iterator[Sessions]:
    """The database for a command: what it changes in a study is logged as done on the command line.

    Raises:
        NotFound: see `require_home`; or what was done wanted a study that there is not: it names some that there are.
        Unavailable: see `open_sessions`.
    """
    require_home(settings)
    with open_sessions(settings) as sessions:
        sessions.configure(info=audit.acting("command line"))
        try:
            yield sessions
        except NoSuchStudy as error:
            with sessions() as session:
                names = study_lookup.names_like(session, error.slug)
            there_are = f" There are: {', '.join(names)}." if names else " There are none yet."
            raise NotFound(error.message + there_are) from None


def require_home(settings: Settings) -> None:
    """Raises NotFound, before anything is made, where the database would be the home's and there is none: most likely
    somebody is in the wrong folder. `db upgrade` and `demo` begin a home."""
    if settings.database_url is None and not (settings.home / "postgres" / "data").exists():
        raise NotFound(
            f"No Lookalike data in {settings.home.resolve()}. Go to the folder of your study, or use --home. "
            "To begin there: lookalike db upgrade"
        )


@contextmanager
def plain_errors() -> Iterator[None]:
    """An expected error is one red line on stderr and exit code 1 (2 for bad input), not a traceback."""
    try:
        yield
    except LookalikeError as error:
        raise _failed(error.message, code=2 if isinstance(error, BadInput) else 1) from None
    except OperationalError as error:
        # Without an SQLSTATE it is no answer of the server's, but the lack of one.
        problem = "reports" if getattr(error.orig, "sqlstate", None) else "does not answer"
        raise _failed(f"The database {problem}: {explain(error)}") from None
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        raise typer.Exit(0) from None
    except PostgresUnavailable as error:
        raise _failed(str(error)) from None
    except OSError as error:
        raise _failed(os_error_in_words(error)) from None


def _failed(message: str, *, code: int = 1) -> typer.Exit:
    """Say it; messages quote what users wrote, which is not markup."""
    err.print(f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)


def confirm(consequence: str, *, yes: bool) -> None:
    """Ask before what cannot be taken back, unless somebody has said `--yes`.

    Raises:
        typer.Exit: they do not want it, or nobody is there to ask. Nothing was changed.
    """
    if yes:
        return
    err.print(escape(consequence), soft_wrap=True)
    try:
        if typer.confirm("Go on?", err=True):
            return
    except typer.Abort:
        err.print()
    raise _failed("Nothing was changed. To go on without being asked: --yes")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (what, done, total) that shows one bar per thing done."""
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done)

        yield report


def print_json(value: Any) -> None:
    """A dataclass, or a list of them, as JSON on stdout."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(value, list):
        plain = [asdict(entry) for entry in value]
    json.dump(plain, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
