"""One table of a metric and its baselines, on the same triplets."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt

from training import scores
from training.baselines import Opener
from training.errors import WeightsError
from training.evaluate import TwoAfcResult, evaluate_triplets
from training.markdown import cell, plain
from training.report import resolution_sentence
from training.scores import Estimate
from training.triplets import Triplets


@dataclass(frozen=True)
class Row:
    """One measure that ran."""

    name: str
    result: TwoAfcResult
    seconds: float
    behind: Estimate | None = None  # the best measure's score less this one's, on the same triplets


@dataclass(frozen=True)
class Comparison:
    triplets: Triplets
    rows: list[Row]  # best first
    missing: dict[str, str]  # measures that could not run here, and why


def compare(
    openers: dict[str, Opener],
    triplets: Triplets,
    device: torch.device,
    cache_folder: Path | None = None,
    watch: Callable[[str], None] = lambda _name: None,
) -> Comparison:
    """Every measure that can run here, on the same triplets."""
    rows, missing = [], {}
    for name, opener in openers.items():
        watch(name)
        try:
            measure = opener()
        except WeightsError as error:
            missing[name] = str(error)
            continue
        start = time.perf_counter()
        result = evaluate_triplets(measure, triplets, device, cache_folder)
        rows.append(Row(name, result, time.perf_counter() - start))
    return Comparison(triplets, _ranked(rows, triplets), missing)


def _ranked(rows: list[Row], triplets: Triplets) -> list[Row]:
    ranked = sorted(rows, key=lambda row: -row.result.shares.value)
    best = ranked[0].result.scores
    gaps = [scores.estimate(best - row.result.scores, triplets.indices[:, 0]) for row in ranked[1:]]
    return ranked[:1] + [replace(row, behind=gap) for row, gap in zip(ranked[1:], gaps, strict=True)]


def comparison_markdown(comparison: Comparison) -> str:
    """The table, the ceilings, what so many triplets can tell, and who could not run."""
    rows = comparison.rows
    lines = [f"# {len(rows)} measures on {plain(comparison.triplets.name)}", ""]
    lines += ["| measure | agreement with people | points behind the best | seconds |", "|---|---|---|---|"]
    lines += [f"| {cell(row.name)} | {row.result.shares} | {_gap(row)} | {row.seconds:.1f} |" for row in rows]
    ceilings = rows[0].result.ceilings
    lines += ["", *(f"- {name}: {100 * value:.1f} %" for name, value in ceilings.items())]
    lines += ["", resolution_sentence(rows[0].result) + " A gap whose interval holds 0 says nothing."]
    if comparison.missing:
        lines += ["", "Not run here:", ""]
        lines += [f"- {plain(name)}: {plain(reason)}" for name, reason in comparison.missing.items()]
    return "\n".join(lines) + "\n"


def _gap(row: Row) -> str:
    if row.behind is None:
        return "–"
    return f"{100 * row.behind.value:.1f} [{100 * row.behind.low:.1f}, {100 * row.behind.high:.1f}]"


def draw_comparison(path: Path, comparison: Comparison) -> None:
    """Scores with their intervals, best at the top, and the human ceiling as a line."""
    shown = [(row.name, row.result) for row in comparison.rows[::-1]]
    values = np.array([100 * result.shares.value for _, result in shown])
    low = values - [100 * result.shares.low for _, result in shown]
    high = [100 * result.shares.high for _, result in shown] - values
    figure, axis = plt.subplots(figsize=(7, 0.42 * len(shown) + 1.4))
    axis.errorbar(values, range(len(shown)), xerr=[low, high], fmt="o", color="#0969da", capsize=3)
    axis.set_yticks(range(len(shown)), [name for name, _ in shown], parse_math=False)
    axis.axvline(50, color="#8c959f", linestyle=":", label="chance")
    ceiling = 100 * next(iter(shown[0][1].ceilings.values()))
    axis.axvline(ceiling, color="#1a7f37", linestyle="--", label="people (plug-in)")
    axis.set_xlabel(f"agreement with people, % ({len(comparison.triplets)} triplets, 95 % intervals)")
    axis.legend(fontsize=7, loc="lower right")
    axis.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
