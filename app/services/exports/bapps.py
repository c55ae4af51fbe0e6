"""The layout of BAPPS (LPIPS, Zhang et al. 2018): a folder per split with images side by side, and the votes as shares.

`2afc/SPLIT/STUDY/{ref,p0,p1}/NNNNNN.EXT` and `judge/NNNNNN.npy`, the share of votes for candidate 1;
`jnd/SPLIT/STUDY/{p0,p1}/NNNNNN_P.EXT` and `same/NNNNNN_P.npy`, the share that said "same" of pair P. Kept items only.
"""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Row

from app.domain.protocol import Kind
from app.services.exports.queries import Snapshot


@dataclass(frozen=True)
class Judged:
    """A triplet or a pair: its images by name and sha256, and its share by name and value."""

    images: list[tuple[str, str]]
    share_name: str
    share: float

    @property
    def share_file(self) -> bytes:
        """The bytes of the .npy file: one float32, shape (1,)."""
        buffer = io.BytesIO()
        np.save(buffer, np.array([self.share], dtype=np.float32))
        return buffer.getvalue()

    def hashes(self) -> list[tuple[str, str]]:
        return [*self.images, (self.share_name, hashlib.sha256(self.share_file).hexdigest())]


def judged(snapshot: Snapshot, *, kind: Kind, study: str) -> Iterator[Judged]:
    """The study's kept triplets, or in JND the pairs of its kept items."""
    if kind == "jnd":
        return (_pair(row, study) for row in snapshot.pairs() if row.status == "kept")
    return (_triplet(row, study) for row in snapshot.pool() if row.status == "kept")


def _triplet(row: Row[Any], study: str) -> Judged:
    folder, name = f"2afc/{row.split}/{study}", f"{row.number:06d}"
    return Judged(
        [
            (f"{folder}/ref/{name}.{row.reference_extension}", row.reference),
            (f"{folder}/p0/{name}.{row.candidate_0_extension}", row.candidate_0),
            (f"{folder}/p1/{name}.{row.candidate_1_extension}", row.candidate_1),
        ],
        f"{folder}/judge/{name}.npy",
        row.votes_1 / (row.votes_0 + row.votes_1),
    )


def _pair(row: Row[Any], study: str) -> Judged:
    folder, name = f"jnd/{row.split}/{study}", f"{row.number:06d}_{row.pair}"
    candidate, extension = (
        (row.candidate_0, row.candidate_0_extension) if row.pair == 0 else (row.candidate_1, row.candidate_1_extension)
    )
    return Judged(
        [
            (f"{folder}/p0/{name}.{row.reference_extension}", row.reference),
            (f"{folder}/p1/{name}.{extension}", candidate),
        ],
        f"{folder}/same/{name}.npy",
        row.same_votes / (row.same_votes + row.different_votes),
    )
