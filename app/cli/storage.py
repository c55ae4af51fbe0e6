"""`storage create` and `storage check`."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import HOME, AsJson, Home, opened, out, plain_errors, print_json, progress_bar, settings_for
from app.domain.counted import counted
from app.errors import BadInput
from app.services.items.storage_check import Finding, StorageCheck, check_storage
from app.storage import open_storage

storage = typer.Typer(help="The store of images.", no_args_is_help=True)

_SAID = {
    "orphan": "objects that no row names",
    "leftover": "left by interrupted uploads",
    "missing": "missing",
    "damaged": "damaged",
}


@storage.command("create")
def create(home: Home = HOME) -> None:
    """Make the bucket that S3_BUCKET names, unless it is there; images in the home need none.

    Example: lookalike storage create
    """
    with plain_errors():
        settings = settings_for(home)
        if settings.s3_bucket is None:
            raise BadInput("S3_BUCKET names no bucket: images lie in the home.")
        from app.storage.s3 import open_bucket

        bucket = open_bucket(settings, settings.s3_bucket)
        out.print(f"Made the bucket {bucket.name}." if bucket.create() else f"The bucket {bucket.name} is there.")


@storage.command("check")
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Read every stored image and compare the store with the database; ends with 1 if something stays wrong.

    With --repair, derivatives are made again from their originals, and what nobody has named for a day is removed. A
    bucket and prefix must belong to one database alone.

    Example: lookalike storage check --repair
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, progress_bar() as report:
            found = check_storage(sessions, open_storage(settings), repair=repair, report=report)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found.is_sound:
        raise typer.Exit(1)


def _show(found: StorageCheck) -> None:
    out.print(f"{counted(found.images, 'image')}, {counted(found.objects, 'object')}, {found.bytes / 2**20:,.0f} MB.")
    if not found.findings:
        out.print("[green]All is as it should be.[/]")
        return
    kinds: dict[tuple[str, str, str], int] = {}
    for finding in found.findings:
        kind = (_named(finding), _SAID[finding.trouble], finding.outcome)
        kinds[kind] = kinds.get(kind, 0) + 1
    table = Table("", "what", "trouble", "", box=None, show_header=False, pad_edge=False)
    for (what, trouble, outcome), count in kinds.items():
        table.add_row(f"{count:,}", what, trouble, _OUTCOMES[outcome])
    out.print(table)
    lost = [finding for finding in found.findings if finding.outcome == "lost" and finding.what == "original"]
    for finding in lost:
        out.print(f"Lost: {finding.key} [dim]{finding.used_by}[/]", highlight=False)
    if lost:
        out.print("Bring these originals back from a backup of the store, under these names.")


_OUTCOMES = {
    "found": "[yellow]--repair mends it[/]",
    "repaired": "[green]repaired[/]",
    "lost": "[red]cannot be made again[/]",
}


def _named(finding: Finding) -> str:
    return {"": "files", "original": "originals"}.get(finding.what, f"{finding.what} derivatives")
