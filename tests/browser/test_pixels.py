"""What a browser decodes of a JND study is what was imported, pixel by pixel."""

import csv
import hashlib
from pathlib import Path

from PIL import Image
from sqlalchemy import text

from app.db import Sessions
from app.services import studies
from app.storage import LocalStorage
from tests.browser.conftest import Sittings
from tests.triplet_folder import bring, make_draft

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
        studies.open_study(session, slug=slug)
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
