"""Evaluations in words: a Markdown report and the same numbers as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from training.evaluate import JndResult, TwoAfcResult
from training.markdown import cell, plain
from training.scores import Estimate

LEAST_PER_CATEGORY = 5


def resolution_sentence(result: TwoAfcResult) -> str:
    """What the size of the test set allows one to conclude."""
    return (
        f"{result.shares.n} triplets cannot tell two methods apart by less than about "
        f"{100 * result.resolution:.0f} points (half the width of the 95 % interval)."
    )


def two_afc_markdown(result: TwoAfcResult) -> str:
    lines = [
        f"# {plain(result.measure)} on {plain(result.data)}",
        "",
        f"{result.shares.n} triplets. Intervals are 95 % bootstrap intervals over references.",
        "",
        "| agreement with people | score |",
        "|---|---|",
        f"| with the vote shares | {result.shares} |",
    ]
    if result.majority:
        lines.append(f"| with the majority ({result.ties} ties left out) | {result.majority} |")
    lines += [f"| {cell(name)} (n = {group.n}) | {group} |" for name, group in result.groups.items()]
    lines += ["", "| ceiling | score |", "|---|---|"]
    lines += [f"| {name} | {100 * value:.1f} % |" for name, value in result.ceilings.items()]
    lines += ["", resolution_sentence(result), "", *_category_lines(result.categories)]
    return "\n".join(lines) + "\n"


def _category_lines(categories: dict[str, Estimate]) -> list[str]:
    frequent = {name: group for name, group in categories.items() if group.n >= LEAST_PER_CATEGORY}
    if not categories:
        return []
    lines = [f"Categories with at least {LEAST_PER_CATEGORY} triplets: {len(frequent)} of {len(categories)}."]
    if frequent:
        lines += ["", "| category | n | score |", "|---|---|---|"]
        ordered = sorted(frequent.items(), key=lambda item: item[1].value)
        lines += [f"| {cell(name)} | {group.n} | {group} |" for name, group in ordered]
    return lines


def jnd_markdown(result: JndResult) -> str:
    lines = [
        f"# {plain(result.measure)} on {plain(result.data)}",
        "",
        'Average precision of "people cannot tell them apart", by ascending distance.',
        "",
        "| pairs | n | average precision |",
        "|---|---|---|",
        f"| all | {result.all_pairs.n} | {result.all_pairs} |",
    ]
    if result.altered_pairs:
        lines.append(f"| without identical files | {result.altered_pairs.n} | {result.altered_pairs} |")
    lines += [
        "",
        f"{result.identical} pairs are identical files, which every metric gets right; row two omits them. "
        f"{result.tied} pairs share their distance with another: they enter together.",
    ]
    return "\n".join(lines) + "\n"


def write_report(folder: Path, markdown: str, result: TwoAfcResult | JndResult) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown, encoding="utf-8")
    numbers = {name: value for name, value in asdict(result).items() if name not in ("distances", "scores")}
    (folder / "report.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
