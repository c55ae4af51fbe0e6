"""The dataset card: README.md of an export, with the front matter that `datasets.load_dataset` reads."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType

from app.domain.counted import counted
from app.domain.protocol import Protocol

Features = Mapping[str, str | Mapping[str, str]]
"""Columns of a data set with their types; the fields of one that is an object."""

_TABLE_NAMES = ("items", "judgments", "assignments")
_FILTERED = {
    "dissent": "a triplet is dropped at its first dissenting vote",
    "round_end": "a triplet is dropped at the end of the round in which a vote dissents",
    "none": "nothing is dropped, and votes are given as shares",
}
_TESTS = {
    "2afc": "two-alternative forced-choice (2AFC) judgments of image triplets",
    "jnd": "just-noticeable-difference (JND) judgments of image pairs that were flashed one after the other",
}
_TABLES = {
    "2afc": """| `data.csv` | the kept triplets, in the columns and order of NIGHTS; left is candidate 0, right 1 |
| `unfiltered.csv` | every triplet, with vote shares, `status` and `dropped_round` |""",
    "jnd": """| `jnd.csv` | every pair: how many said "same" and "different", and the share `same` |""",
}


_IMAGES = {
    "folder": "| `ref/`, `distort/` | the images, byte for byte as they were imported or generated |",
    "bapps": "| `2afc/` or `jnd/` | the kept items in the layout of BAPPS, by split; shares of votes as .npy |",
    "webdataset": "| `data/*.tar` | WebDataset shards: the kept items by split, all others in `others` |",
    "parquet": "| `data/*.parquet` | the kept items by split, all others in `others`, with their images' bytes |",
}


def _parts(shards: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(PurePath(shard).name.rpartition("-")[0] for shard in shards))


def _configs(form: str, shards: Sequence[str]) -> str:
    """What `datasets.load_dataset` offers: tables, and shards if they are of one kind with them."""
    tables = [f"  - config_name: {name}\n    data_files: {name}.parquet\n" for name in _TABLE_NAMES]
    if form in ("folder", "bapps"):
        tables[0] += "    default: true\n"
        return "".join(tables)
    parts = _parts(shards)
    extension = PurePath(shards[0]).suffix if shards else ""
    files = {part: f"data/{part}-*{extension}" for part in parts}
    splits = "".join(
        f"      - split: {part}\n        path: {path}\n" for part, path in files.items() if part != "others"
    )
    images = f"  - config_name: images\n    data_files:\n{splits}    default: true\n" if splits else ""
    others = f"  - config_name: others\n    data_files: {files['others']}\n" if "others" in files else ""
    return images + others + ("".join(tables) if form == "parquet" else "")


def _dataset_info(shards: Sequence[str], features: Features) -> str:
    """What every column of the shards holds, where their files do not say it themselves."""
    parts = _parts(shards)
    names = [*(["images"] if set(parts) - {"others"} else []), *(["others"] if "others" in parts else [])]
    lines = []
    for name, kind in features.items():
        lines.append(f"      - name: {name}\n")
        if isinstance(kind, str):
            lines.append(f"        dtype: {kind}\n")
        else:
            fields = (f"          - name: {field}\n            dtype: {dtype}\n" for field, dtype in kind.items())
            lines.append("        struct:\n" + "".join(fields))
    described = (f"  - config_name: {name}\n    features:\n{''.join(lines)}" for name in names)
    return "dataset_info:\n" + "".join(described) if features and names else ""


def card(
    *,
    slug: str,
    status: str,
    protocol: Protocol,
    counts: dict[str, int],
    version: str,
    form: str = "folder",
    shards: Sequence[str] = (),
    features: Features = MappingProxyType({}),
) -> str:
    ending = "" if status in ("finished", "closed") else (
        f"\n> The study was still **{status}** when this was exported: later exports will differ.\n"
    )  # fmt: skip
    lines = [_TABLES[protocol.kind] + "\n"] if form == "folder" or protocol.kind == "jnd" else []
    return f"""---
pretty_name: "{slug}"
task_categories: [image-feature-extraction]
tags: [perceptual-similarity, {protocol.kind}, human-judgments]
configs:
{_configs(form, shards)}{_dataset_info(shards, features)}---

# {slug}

Human {_TESTS[protocol.kind]}: "{protocol.question}"
Collected with Lookalike {version}; {counted(protocol.rounds, "round")} of
{counted(protocol.votes_per_round, "vote")} an item;
{_FILTERED[protocol.drop]}; kept are items with at least {counted(protocol.min_votes, "valid vote")}.
{ending}
| | |
|---|---|
| items judged | {counts["items"]:,} |
| kept | {counts["kept"]:,} |
| dropped | {counts["dropped"]:,} |
| short of votes | {counts["short"]:,} |
| valid votes | {counts["valid_votes"]:,} |
| candidate images in more than one split | {counts["candidate_images_in_several_splits"]:,} |

## Files

| file | holds |
|---|---|
{"".join(lines)}{_IMAGES[form]}
| `judgments.parquet` | every answer, void ones with their reason; participants are pseudonyms |
| `items.parquet`, `assignments.parquet` | what the judgments refer to |
| `manifest.json` | protocol, counts, and the sha256 of every file |

No reference image is in two splits. A vote is valid if it came in time, on a trial of the pool, from an assignment
that is not excluded.
"""
