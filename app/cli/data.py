"""`import …` and `export`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.cli.console import HOME, AsJson, Home, err, opened, out, plain_errors, print_json, progress_bar, settings_for
from app.domain.counted import counted
from app.services import audit
from app.services.exports.export import Format, export_study
from app.services.items.imports import import_items
from app.services.items.item_files import ItemFile, read_csv, read_nights, read_pairs
from app.services.study_lookup import by_slug
from app.storage import open_place, open_storage

imports = typer.Typer(help="Bring triplets or pairs into a draft study.", no_args_is_help=True)
Study = Annotated[str, typer.Option("--study", help="The study's name.")]
Normalise = Annotated[bool, typer.Option("--normalise", help="Convert unsupported images to 8-bit sRGB PNG.")]


@imports.command("nights")
def import_nights(
    folder: Annotated[Path, typer.Argument(help="A folder in the NIGHTS layout.")],
    study: Study,
    normalise: Normalise = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Import a folder in the NIGHTS layout: data.csv, ref/ and distort/.

    Example: lookalike import nights data/nights --study shoes
    """
    with plain_errors():
        _import(read_nights(folder), study, normalise, as_json, home)


@imports.command("pairs")
def import_pairs(
    file: Annotated[Path, typer.Argument(help="A CSV file; image paths are relative to it.")],
    study: Study,
    normalise: Normalise = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Import pairs into a JND study: image_a, image_b and optionally pair_id, prompt, method, split, different_votes,
    votes.

    Example: lookalike import pairs pairs.csv --study distortions
    """
    with plain_errors():
        _import(read_pairs(file), study, normalise, as_json, home)


@imports.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(help="A CSV file; image paths are relative to it.")],
    study: Study,
    normalise: Normalise = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Import a CSV file: reference, candidate_0, candidate_1 and optionally prompt, source, split, votes_0, votes_1.

    Example: lookalike import csv triplets.csv --study shoes
    """
    with plain_errors():
        _import(read_csv(file), study, normalise, as_json, home)


def _import(file: ItemFile, study: str, normalise: bool, as_json: bool, home: Path) -> None:
    settings = settings_for(home)
    with opened(settings) as sessions, progress_bar() as report:
        try:
            result = import_items(
                sessions, open_storage(settings), slug=study, file=file, normalise=normalise, report=report
            )
        except KeyboardInterrupt:
            err.print("Interrupted. The same command goes on where it stopped.")
            raise typer.Exit(130) from None
        with sessions.begin() as session:
            imported = by_slug(session, study)
            audit.record(session, "imported items", study=imported, subject=file.path.name, items=result.items)
    if as_json:
        print_json(result)
        return
    if result.already_there:
        out.print(f"There already: {counted(result.already_there, 'item')} of {escape(file.path.name)}.")
    if result.items or not result.already_there:
        images = counted(result.images, "different image")
        out.print(f"Imported {counted(result.items, 'item')} with {images} into [bold]{study}[/].")
    else:
        out.print(f"Nothing was new for [bold]{study}[/].")


def export(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    place: Annotated[
        str, typer.Argument(metavar="OUT", help="A folder that does not exist yet, or s3://BUCKET/PREFIX.")
    ],
    form: Annotated[
        Format,
        typer.Option(
            "--format", help="folder: the layout of NIGHTS; bapps: that of LPIPS; the others: few large files."
        ),
    ] = "folder",
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Write a study's dataset. An export that was interrupted goes on where it stopped.

    Example: lookalike export shoes exports/shoes-1
    """
    with plain_errors():
        settings = settings_for(home)
        with opened(settings) as sessions, progress_bar() as report:
            result = export_study(
                sessions, open_storage(settings), slug=name, out=open_place(settings, place), form=form, report=report
            )
    if as_json:
        print_json(result)
    else:
        counts = result.counts
        out.print(
            f"Exported version {result.version} of [bold]{name}[/] to {escape(result.path)}: {counts['kept']:,} kept, "
            f"{counts['dropped']:,} dropped, {counts['short']:,} short of {counted(counts['items'], 'item')}.",
            soft_wrap=True,
        )
