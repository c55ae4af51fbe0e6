"""`db upgrade`, `db dump` and `db restore`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app import db_dumps
from app.cli.console import HOME, Home, err, out, plain_errors, require_home, settings_for
from app.db import database_url, make_engine, open_sessions, require_current_schema
from app.errors import Unavailable

db = typer.Typer(help="The database: its schema, and copies of all of it.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A file in PostgreSQL's custom format.")]


@db.command("upgrade")
def upgrade(home: Home = HOME) -> None:
    """Bring the database schema to this version.

    Example: lookalike db upgrade
    """
    with plain_errors(), open_sessions(settings_for(home), migrate=True):
        out.print("The database schema is up to date.")


@db.command("dump")
def dump(file: File, home: Home = HOME) -> None:
    """Write the whole database to a file, as it is at this moment; servers and workers may go on meanwhile. Images and
    the secret key are not in it.

    Example: lookalike db dump backup/lookalike.dump
    """
    with plain_errors():
        settings = settings_for(home)
        require_home(settings)
        with database_url(settings) as url:
            db_dumps.dump(url, file)
    out.print(f"Wrote {escape(str(file))}, {file.stat().st_size / 1e6:,.1f} MB.")


@db.command("restore")
def restore(
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="Lose what is in the database now.")] = False,
    home: Home = HOME,
) -> None:
    """Have the database hold what a dump holds; whatever goes wrong, it is as it was. Servers and workers are stopped
    first.

    Example: lookalike db restore backup/lookalike.dump
    """
    with plain_errors():
        with database_url(settings_for(home)) as url:
            db_dumps.restore(url, file, replace=replace)
            engine = make_engine(url)
            try:
                require_current_schema(engine)
            except Unavailable as error:
                err.print(f"[yellow]{escape(error.message)}[/]")
            finally:
                engine.dispose()
        out.print(f"Restored {escape(str(file))}. Next, where the images were restored, too: lookalike storage check")
