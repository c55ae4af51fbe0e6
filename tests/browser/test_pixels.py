"""What a browser shows, what participants get and what training sees are the same pixels."""

import base64
import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from sqlalchemy import text

from app.db import Sessions
from app.errors import BadInput
from app.services.items import images
from app.services.studies import lifecycle
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.support.colour_files import CONVERTED, FILES, KEPT, REFUSED
from tests.support.triplet_folder import bring, make_draft
from training.errors import DataError
from training.image_cache import read_image

_PIXELS = """async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const digest = await crypto.subtle.digest('SHA-256', context.getImageData(0, 0, canvas.width, canvas.height).data);
  return Array.from(new Uint8Array(digest));
}"""
SITTING = {"assignment.trials": "30", "assignment.practice": "0", "assignment.sentinels": "0"}


def test_real_pairs_arrive_pixel_exact(
    sittings: Sittings, sessions: Sessions, storage: LocalStorage, shared: Path
) -> None:
    slug = make_draft(sessions, "bapps-jnd", **SITTING, **{"assignment.same_sentinels": "0"})
    bring(sessions, storage, slug, shared / "data/jnd30/pairs.csv")
    with sessions.begin() as session:
        lifecycle.open_study(session, slug=slug)
    page = sittings.participant().page
    answer = page.request.post(f"/studies/{slug}/assignments", data={"participant": "ada", "consent": True})
    trials = page.request.get(f"{answer.json()['url']}/trials").json()["trials"]
    with (shared / "data/jnd30/pairs.csv").open() as lines:
        pairs = {int(row["pair_id"]): (row["image_a"], row["image_b"]) for row in csv.DictReader(lines)}
    page.goto(f"/studies/{slug}")
    for trial in trials[:12]:
        with sessions() as session:
            number = session.scalars(
                text("SELECT number FROM items i JOIN trials t ON t.item_id = i.id WHERE t.id = :id"),
                {"id": trial["id"]},
            ).one()
        for flash, name in zip(trial["flashes"], pairs[number], strict=True):
            original = Image.open(shared / "data/jnd30" / name).convert("RGBA")
            assert bytes(page.evaluate(_PIXELS, flash)) == hashlib.sha256(original.tobytes()).digest()


_SHOW = """async (files) => Promise.all(files.map(async ([type, data]) => {
  const image = new Image();
  image.src = `data:${type};base64,${data}`;
  try {
    await image.decode();
  } catch {
    return null;
  }
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  const levels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, btoa(String.fromCharCode(...levels))];
}))"""


def shown(chromium: Browser, files: list[tuple[str, bytes]]) -> list[np.ndarray | None]:
    """What a white page shows of every file, (height, width, 3); None of what Chromium cannot decode."""
    page = chromium.new_page()
    answers = page.evaluate(_SHOW, [(kind, base64.b64encode(data).decode()) for kind, data in files])
    page.close()
    return [
        answer
        and np.frombuffer(base64.b64decode(answer[2]), np.uint8).reshape(answer[1], answer[0], 4)[..., :3].astype(int)
        for answer in answers
    ]


def imported(data: bytes, *, normalise: bool) -> images.CheckedImage | None:
    try:
        return images.check(data, name="a", normalise=normalise, derivative=images.LOSSLESS)
    except BadInput:
        return None


def training_sees(data: bytes, folder: Path) -> np.ndarray | None:
    """By what fills training's cache, before it is made square; None where that refuses the file."""
    file = folder / "image"
    file.write_bytes(data)
    try:
        return np.asarray(read_image(file)[0]).astype(int)
    except DataError:
        return None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_every_file_looks_the_same_to_browser_participant_and_training(chromium: Browser, tmp_path: Path) -> None:
    """Within one level in every channel, or refused by import and training alike; `-s` prints the table."""
    checked = {name: imported(file.data, normalise=True) for name, file in FILES.items()}
    originals = shown(chromium, [(file.media_type, file.data) for file in FILES.values()])
    usable = {name: one for name, one in checked.items() if one}
    sent = dict(zip(usable, shown(chromium, [("image/webp", one.derivative) for one in usable.values()]), strict=True))
    rows, wrong = [], []
    for (name, file), original in zip(FILES.items(), originals, strict=True):
        one = checked[name]
        fate = REFUSED if one is None else KEPT if imported(file.data, normalise=False) else CONVERTED
        differences = []
        if one is not None:
            assert original is not None, name
            for seen in (sent[name], *(training_sees(data, tmp_path) for data in (file.data, one.data))):
                same_shape = seen is not None and seen.shape == original.shape
                differences.append(int(np.abs(seen - original).max()) if same_shape else 255)
        else:
            assert training_sees(file.data, tmp_path) is None, name
        rows.append(f"{name:36} {fate:10} {'  '.join(f'{one:3}' for one in differences)}")
        if fate != file.fate or max(differences, default=0) > 1:
            wrong.append(rows[-1])
    print("\nlevels between Chromium and: participants · training, given the file · training, given the export")
    print("\n".join(rows))
    assert wrong == []
