"""Folders of triplets to import, and what a study holds before and after."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.db import Sessions
from app.domain import protocol
from app.services.items.imports import ImportResult, Report, import_items
from app.services.items.item_files import read_csv, read_nights, read_pairs
from app.services.studies import lifecycle
from app.storage import Storage
from datafiles.nights import NIGHTS_COLUMNS
from tests.support.factories import make_slug
from tests.support.pictures import png

Row = dict[str, str]


def table(rows: Sequence[Mapping[str, str]], columns: Iterable[str] | None = None) -> str:
    """The rows as CSV; without `columns` those of the first row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns or rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class TripletFolder:
    """A folder in the making. Every picture is unlike any other of the test run."""

    _seeds = count(1_000_000)

    def __init__(self, path: Path) -> None:
        self.path = path

    def picture(self, name: str, data: bytes | None = None) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(next(self._seeds)) if data is None else data)
        return name

    def csv_rows(self, rows: int) -> list[Row]:
        batch = next(self._seeds)
        return [
            {
                "reference": self.picture(f"{batch}/{number}-r.png"),
                "candidate_0": self.picture(f"{batch}/{number}-0.png"),
                "candidate_1": self.picture(f"{batch}/{number}-1.png"),
            }
            for number in range(rows)
        ]

    def pairs(self, rows: int, **more: str) -> Path:
        """Write pairs.csv, every pair of two pictures."""
        made = [
            {"image_a": self.picture(f"pairs/{number}-a.png"), "image_b": self.picture(f"pairs/{number}-b.png")} | more
            for number in range(rows)
        ]
        return self.csv(made, "pairs.csv")

    def nights_rows(self, rows: int, *, first: int = 0) -> list[Row]:
        return [
            {
                "id": str(number),
                "left_vote": "0",
                "right_vote": "1",
                "votes": "6",
                "ref_path": self.picture(f"ref/000/{number:03d}.png"),
                "left_path": self.picture(f"distort/000/{number:03d}_1.png"),
                "right_path": self.picture(f"distort/000/{number:03d}_0.png"),
                "split": "train",
                "is_imagenet": "False",
                "prompt": f"thing {number}",
            }
            for number in range(first, first + rows)
        ]

    def csv(self, rows: Sequence[Mapping[str, str]] | str | bytes, name: str = "triplets.csv") -> Path:
        """Write the table: rows, or the text itself."""
        data = rows if isinstance(rows, str | bytes) else table(rows)
        path = self.path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def nights(self, rows: Sequence[Mapping[str, str]]) -> Path:
        """Write data.csv; returns the folder."""
        self.csv(table(rows, NIGHTS_COLUMNS), "data.csv")
        return self.path


def make_draft(sessions: Sessions, preset: str = "nights-2afc", **overrides: str) -> str:
    """A draft study without items; returns its slug."""
    slug = make_slug()
    with sessions.begin() as session:
        lifecycle.create(session, slug=slug, protocol=protocol.load(preset, overrides=overrides), seed=1)
    return slug


def silent(what: str, done: int, total: int) -> None:
    pass


def bring(
    sessions: Sessions, storage: Storage, slug: str, path: Path, *, normalise: bool = False, report: Report = silent
) -> ImportResult:
    """What `lookalike import` does: a folder in the NIGHTS layout, a CSV file of triplets, or one named pairs.csv."""
    read = read_nights if path.is_dir() else read_pairs if path.name == "pairs.csv" else read_csv
    file = read(path)
    return import_items(sessions, storage, slug=slug, file=file, normalise=normalise, report=report)


def contents(sessions: Sessions, slug: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that belongs to the study, by table."""
    own = {"studies": "id"} | dict.fromkeys(("items", "imports", "import_requests", "slots", "exports"), "study_id")
    with sessions() as session:
        (study,) = session.execute(text("SELECT id FROM studies WHERE slug = :slug"), {"slug": slug}).one()
        return {
            name: [
                tuple(row)
                for row in session.execute(
                    text(f"SELECT * FROM {name} WHERE {column} = :id ORDER BY 1, 2"), {"id": study}
                )
            ]
            for name, column in own.items()
        }


def pool(sessions: Sessions, slug: str) -> list[Any]:
    """The study's items in the order of their numbers."""
    with sessions() as session:
        return list(
            session.execute(
                text("""
                    SELECT i.* FROM items i JOIN studies s ON s.id = i.study_id
                    WHERE s.slug = :slug AND i.role = 'pool' ORDER BY i.number
                """),
                {"slug": slug},
            )
        )
