#!/usr/bin/env bash
# datasets: vote shares of a WebDataset become 0 when the first five samples are unanimous.
#
# Where: load_dataset("webdataset"), JSON members. Types come from the first five samples of the first shard.
# Guess: a later 0.75 after whole numbers makes the column float, or is an error.
# Seen:  it is cut to int without a word: 0.75 -> 0; after `true` it is True. None in the first five and a number later is an
#        error. The same file through the webdataset library keeps every value.
# Do:    write shares as floats (1.0, not 1) and never leave a field null in the first samples, or give `features=`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 webdataset==1.0.2 pillow==13.0.0
cd "$work" && HF_HOME="$work/hf" HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import io
import json
import tarfile

import datasets
import webdataset
from PIL import Image

datasets.disable_progress_bars()
picture = io.BytesIO()
Image.new("RGB", (8, 4), (10, 200, 30)).save(picture, "PNG")


def read_back(shares):
    with tarfile.open("shard.tar", "w") as tar:
        for number, share in enumerate(shares):
            for name, data in (("png", picture.getvalue()), ("json", json.dumps({"share": share}).encode())):
                member = tarfile.TarInfo(f"{number:05d}.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    rows = datasets.load_dataset("webdataset", data_files="shard.tar", split="train", download_mode="force_redownload")
    direct = [sample["json"]["share"] for sample in webdataset.WebDataset("shard.tar", shardshuffle=False).decode()]
    return [row["share"] for row in rows["json"]], direct


print(f"datasets {datasets.__version__}, webdataset {webdataset.__version__}")
for shares in ([1, 1, 1, 1, 1, 0.75], [True] * 5 + [0.75], [1.0] * 5 + [0.75]):
    by_datasets, by_webdataset = read_back(shares)
    print(f"written {shares}\n  datasets   {by_datasets}\n  webdataset {by_webdataset}")
    assert by_webdataset == shares
    assert by_datasets[-1] == {int: 0, bool: True, float: 0.75}[type(shares[0])]
PY
