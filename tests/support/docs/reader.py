"""What a page's reader has before the first command: files, and sometimes a study. Everything is small."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.support.training.dreamsim_folder import write_small_folder
from tests.support.training.small_hub import write_small_hub
from tests.support.triplet_folder import TripletFolder
from tests.training.conftest import ROOT, draw_images, write_export
from training.dreamsim import load_dreamsim
from training.run_folder import save_as_run

UP = "lookalike up"


@dataclass(frozen=True)
class Reader:
    """Files in the folder where the commands are run, then commands that the page takes as done."""

    files: tuple[Callable[[Path], None], ...] = ()
    done: tuple[str, ...] = ()  # of these, `lookalike up` is kept running
    has_database: bool = True  # up to date, and named by DATABASE_URL; without, the page makes its own


def triplets(folder: Path, count: int = 36) -> None:
    """Triplets with ten votes each, on which people agree, and with splits, in triplets.csv."""
    rows = [
        row | {"votes_0": "10" if number % 2 else "0", "votes_1": "0" if number % 2 else "10", "split": split}
        for number, row in enumerate(TripletFolder(folder).csv_rows(count))
        for split in [("train", "val", "test", "train")[number % 4]]
    ]
    TripletFolder(folder).csv(rows)


def few(folder: Path) -> None:
    """31 triplets: sittings of five trials give each its five votes after 31 people, of whom some are still to come."""
    triplets(folder, 31)


def photographs(folder: Path) -> None:
    for name, pixels in zip(("a.png", "b.png", "photo.jpg", "other.jpg"), draw_images(5, 4), strict=True):
        Image.fromarray(pixels).save(folder / name)


def photo_folders(folder: Path) -> None:
    """Four photographs, and the mask of each."""
    for name in ("photos", "masks"):
        (folder / name).mkdir()
    for number, pixels in enumerate(draw_images(6, 4)):
        Image.fromarray(pixels).save(folder / f"photos/{number}.png")
        Image.new("L", (32, 32), "black").save(folder / f"masks/{number}.png")


def checkout(folder: Path) -> None:
    """What commands name of a checkout."""
    (folder / "training").symlink_to(ROOT / "training")


def export(folder: Path) -> None:
    write_export(folder / "exports/study", count=12)


def towers(folder: Path) -> None:
    """The presets, as the hub's cache would hold them, and a tower's folder."""
    hub = write_small_hub(folder / "home/.cache/huggingface/hub")
    shutil.copytree(next(hub.glob("*dinov2*/snapshots/*")), folder / "models/dinov2")


def dreamsim(folder: Path) -> None:
    """The published ensemble with small towers, and a run of these."""
    save_as_run(load_dreamsim(write_small_folder(folder / "models/dreamsim", 0)), folder / "runs/ensemble")


def imports(folder: Path) -> None:
    """A folder in the NIGHTS layout, a table of triplets and one of pairs, of different images."""
    nights = TripletFolder(folder / "nights")
    nights.nights(nights.nights_rows(4))
    triplets(folder)
    TripletFolder(folder).pairs(4)


def protocol(folder: Path) -> None:
    """The protocol that the page shows, as clogs.toml, and the texts that it names."""
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    (folder / "clogs.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    for name in ("our-consent.md", "consent.md", "instructions.md"):
        (folder / name).write_text("# Shoes\n\nYou will see three images.\n")


SHOES = "lookalike study create shoes --protocol nights-2afc"
JUDGED = (
    "lookalike study create shoes --protocol bapps-2afc --set assignment.trials=5 --set assignment.sentinels=0 "
    "--set assignment.practice=0",
    "lookalike import csv triplets.csv --study shoes",
    "lookalike study open shoes",
    UP,
)
READERS = {
    "README.md": Reader((triplets, checkout, photographs, towers), has_database=False),
    "docs/dashboard.md": Reader(done=(SHOES,)),
    "docs/deployment.md": Reader(has_database=False),
    "docs/export.md": Reader(
        (few,),
        (
            *JUDGED,
            "lookalike simulate shoes --participants 100 --answers recorded",
            "lookalike export shoes exports/shoes-parquet --format parquet",
            "lookalike export shoes exports/shoes-tar --format webdataset",
        ),
    ),
    "docs/import.md": Reader((imports,), (SHOES, "lookalike study create pairs --protocol bapps-jnd")),
    "docs/protocol.md": Reader((protocol,)),
    "docs/quality.md": Reader((few,), (*JUDGED, "lookalike simulate shoes --participants 18 --answers recorded")),
    "docs/recruiting.md": Reader(done=(f"{SHOES} --set recruiting.invitations=true",)),
    "docs/training.md": Reader((checkout, export, photographs, photo_folders, towers, dreamsim)),
}
"""Other pages' readers begin with nothing."""
