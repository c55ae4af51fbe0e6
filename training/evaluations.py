"""An evaluation from its files to its report."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from training.contact_sheet import draw_contact_sheet, most_confusing
from training.data import read_triplets
from training.evaluate import evaluate_jnd, evaluate_odd_one_out, evaluate_triplets
from training.jnd import read_jnd
from training.markdown import plain
from training.measures import Measure
from training.progress import Progress
from training.report import jnd_markdown, two_afc_markdown, write_report
from training.things import read_things
from training.triplets import Triplets
from training.watch import counting

CONFUSING = 8


@contextmanager
def watched(console: Console) -> Iterator[Progress]:
    with counting(console, "embedding") as progress:
        yield progress


def select_triplets(data: Path, split: str | None, min_votes: int, cache: Path | None = None) -> Triplets:
    triplets = read_triplets(data, cache=cache).with_votes(min_votes)
    return triplets.split(split) if split else triplets


def on_triplets(
    measure: Measure,
    data: Path,
    split: str | None,
    min_votes: int,
    out: Path,
    device: torch.device,
    cache: Path | None,
    progress: Progress,
) -> str:
    """Scores triplets; writes report and contact sheet to `out`, returns the report."""
    triplets = select_triplets(data, split, min_votes, cache)
    result = evaluate_triplets(measure, triplets, device, cache, progress)
    text = two_afc_markdown(result)
    write_report(out, text, result)
    worst = most_confusing(result, CONFUSING)
    if len(worst):
        draw_contact_sheet(out / "confusing.png", result, triplets, worst)
    return text


def on_jnd(
    measure: Measure,
    data: Path,
    split: str | None,
    out: Path,
    device: torch.device,
    cache: Path | None,
    progress: Progress,
) -> str:
    pairs = read_jnd(data, cache)
    result = evaluate_jnd(measure, pairs.split(split) if split else pairs, device, cache, progress)
    text = jnd_markdown(result)
    write_report(out, text, result)
    return text


def on_things(
    measure: Measure, images: Path, table: Path, device: torch.device, cache: Path | None, progress: Progress
) -> str:
    score = evaluate_odd_one_out(measure, read_things(images, table), device, cache, progress)
    line = f"odd-one-out accuracy {score} over {score.n} choices (chance 33.3 %)"
    return f"# {plain(measure.name)} on {plain(str(table))}\n\n{line}\n"
