"""The peak memory of exporting a large study, by format and place.

20,000 items with 60,000 different images of 40 kB each, written by `lookalike export` in a process of its own: to
folders, and to a real S3 server. Needs 12 GB of disk.

    python benchmarks/export_memory.py [--items N]
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from app.db import Sessions, open_sessions
from app.domain import protocol
from app.models.items import Image, Item
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage.local import write_aside
from tests.support.s3_server import S3_ENVIRONMENT, running_s3

IMAGE_BYTES = 40_000
BATCH = 1000


def make_study(sessions: Sessions, images: Path, items: int) -> None:
    """Items that are all kept, with images of noise: what the bytes mean, no export asks."""
    rng = random.Random(1)
    with sessions.begin() as session:
        study = lifecycle.create(session, slug="large", protocol=protocol.load("nights-2afc", overrides={}), seed=1)
        for first in range(0, items, BATCH):
            keys = [_write(images, rng.randbytes(IMAGE_BYTES)) for _ in range(3 * min(BATCH, items - first))]
            image = {"extension": "jpg", "width": 512, "height": 512, "bytes": IMAGE_BYTES, "mean_colour": [0, 0, 0]}
            session.execute(insert(Image), [image | {"sha256": key} for key in keys])
            session.execute(
                insert(Item),
                [
                    {
                        "study_id": study.id, "role": "pool", "number": first + place, "votes_0": 10, "split": "train",
                        "reference": keys[3 * place], "candidate_0": keys[3 * place + 1],
                        "candidate_1": keys[3 * place + 2], "prompt": f"An image of a thing {first + place}",
                    }
                    for place in range(len(keys) // 3)
                ],
            )  # fmt: skip


def _write(images: Path, data: bytes) -> str:
    key = hashlib.sha256(data).hexdigest()
    write_aside(images / key[:2] / key[2:], data)
    return key


def measure(home: Path, out: str, form: str, **environment: str) -> tuple[float, float]:
    """Peak resident memory in MB and seconds of one export."""
    command = [sys.executable, "-m", "app.cli.main", "export", "large", out, "--format", form, "--home", str(home)]
    started = time.monotonic()
    process = subprocess.Popen(command, env=dict(os.environ) | environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024, time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=20_000)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = Settings(LOOKALIKE_HOME=Path(folder, "home"))
        server = running_s3(Path(folder, "s3"), believes_listings="1h")
        with open_sessions(settings, migrate=True) as sessions, server as s3:
            bucket = s3.make_bucket()
            make_study(sessions, settings.images, items)
            keys = {"S3_ENDPOINT_URL": s3.url, **S3_ENVIRONMENT}
            for place, out in (("folder", f"{folder}/out"), ("bucket", f"s3://{bucket}")):
                for form in ("parquet", "webdataset", "folder"):
                    memory, seconds = measure(settings.home, f"{out}/{form}", form, **keys)
                    print(f"{form:<12} to a {place}: {memory:4.0f} MB at most, {seconds:4.0f} s", flush=True)
                    shutil.rmtree(Path(folder, "out"), ignore_errors=True)


if __name__ == "__main__":
    main()
