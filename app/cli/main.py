"""The `lookalike` command."""

import warnings

import typer

from app.cli import (
    admin,
    data,
    database,
    demo,
    forecasts,
    generate,
    quality,
    reconciling,
    recruiting,
    serving,
    storage,
    studies,
)
from app.logs import configure_logs
from app.signals import end_in_order

cli = typer.Typer(
    name="lookalike",
    help="Collect human judgments of visual similarity and turn them into a perceptual metric.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
cli.command()(demo.demo)
cli.command()(serving.up)
cli.command()(serving.serve)
cli.command()(serving.worker)
cli.add_typer(database.db, name="db")
cli.add_typer(studies.study, name="study")
cli.add_typer(data.imports, name="import")
cli.command()(generate.generate)
cli.command()(studies.simulate)
cli.command()(studies.status)
cli.command()(data.export)
cli.command()(quality.report)
cli.command()(quality.exclude)
cli.command()(quality.reinstate)
cli.command("forecast")(forecasts.show_forecast)
cli.add_typer(admin.admin, name="admin")
cli.add_typer(recruiting.recruit, name="recruit")
cli.command()(reconciling.reconcile)
cli.add_typer(recruiting.people, name="people")
cli.add_typer(storage.storage, name="storage")


@cli.callback()
def prepare() -> None:
    """Every command ends in order. Logs go to stderr, warnings and worse only: stdout is for what a command reports."""
    end_in_order()
    configure_logs()
    # What Pillow finds odd about an image is an error of ours or nothing.
    warnings.filterwarnings("ignore", module="PIL")


if __name__ == "__main__":
    cli()
