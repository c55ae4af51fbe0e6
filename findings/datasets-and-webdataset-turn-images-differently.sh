#!/usr/bin/env bash
# datasets, webdataset: one shard, one JPEG, two orientations.
#
# Where: a JPEG with EXIF orientation 6 (a phone held upright), read by load_dataset("webdataset") and by
#        webdataset's decode("pil"), and as a row of Parquet with the Image feature.
# Guess: both give what Pillow gives: the pixels as stored.
# Seen:  datasets turns the image upright (4 x 8), webdataset does not (8 x 4). A metric trained through one reader and tested
#        through the other sees turned pictures.
# Do:    store upright pixels without the tag.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 webdataset==1.0.2 pillow==13.0.0
cd "$work" && HF_HOME="$work/hf" HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import io
import tarfile

import datasets
import webdataset
from PIL import Image

datasets.disable_progress_bars()
exif = Image.Exif()
exif[0x0112] = 6
data = io.BytesIO()
Image.new("RGB", (8, 4), (10, 200, 30)).save(data, "JPEG", exif=exif)
with tarfile.open("shard.tar", "w") as tar:
    member = tarfile.TarInfo("00000.jpg")
    member.size = len(data.getvalue())
    tar.addfile(member, io.BytesIO(data.getvalue()))

(by_webdataset,) = (s["jpg"].size for s in webdataset.WebDataset("shard.tar", shardshuffle=False).decode("pil"))
by_datasets = datasets.load_dataset("webdataset", data_files="shard.tar", split="train")[0]["jpg"].size
by_feature = datasets.Image().decode_example({"bytes": data.getvalue(), "path": None}).size
print(f"datasets {datasets.__version__}: {by_datasets}, its Image feature {by_feature}")
print(f"webdataset {webdataset.__version__}: {by_webdataset}; Pillow: {Image.open(data).size}")
assert (by_webdataset, by_datasets, by_feature) == ((8, 4), (4, 8), (4, 8))
PY
