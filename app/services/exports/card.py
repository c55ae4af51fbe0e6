"""The dataset card: README.md of an export, with the front matter that `datasets.load_dataset` reads."""

from app.domain.protocol import Protocol

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


def card(*, slug: str, status: str, protocol: Protocol, counts: dict[str, int], version: str) -> str:
    ending = "" if status in ("finished", "closed") else (
        f"\n> The study was still **{status}** when this was exported: later exports will differ.\n"
    )  # fmt: skip
    return f"""---
pretty_name: "{slug}"
task_categories: [image-feature-extraction]
tags: [perceptual-similarity, {protocol.kind}, human-judgments]
configs:
  - config_name: items
    data_files: items.parquet
    default: true
  - config_name: judgments
    data_files: judgments.parquet
  - config_name: assignments
    data_files: assignments.parquet
---

# {slug}

Human {_TESTS[protocol.kind]}: "{protocol.question}"
Collected with Lookalike {version}; {protocol.rounds} round(s) of {protocol.votes_per_round} vote(s) an item;
{_FILTERED[protocol.drop]}; kept are items with at least {protocol.min_votes} valid votes.
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
{_TABLES[protocol.kind]}
| `ref/`, `distort/` | the images, byte for byte as they were imported or generated |
| `judgments.parquet` | every answer, void ones with their reason; participants are pseudonyms |
| `items.parquet`, `assignments.parquet` | what the judgments refer to |
| `manifest.json` | protocol, counts, and the sha256 of every file |

No reference image is in two splits. A vote is valid if it came in time, on a trial of the pool, from an assignment
that is not excluded.
"""
