#!/usr/bin/env bash
# datasets: images of a WebDataset disappear when their file type first comes after the fifth sample.
#
# Where: load_dataset("webdataset"). Columns are named after the extensions of the first five samples.
# Guess: a shard whose first samples are PNG and whose later ones are JPEG has two columns, or is refused.
# Seen:  it has one column, `png`, which is None from the first JPEG on: no error, no warning, the right number of rows.
#        A candidate that only later samples have is lost in the same way; where the mix begins within the first five samples
#        the shard is refused instead.
# Do:    one image type a data set, or name the columns with `features=`.
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
forms = {"png": "PNG", "jpg": "JPEG"}
with tarfile.open("shard.tar", "w") as tar:
    for number, extension in enumerate(["png"] * 5 + ["jpg"] * 3):
        data = io.BytesIO()
        Image.new("RGB", (8, 4), (10, 200, 30)).save(data, forms[extension])
        member = tarfile.TarInfo(f"{number:05d}.{extension}")
        member.size = len(data.getvalue())
        tar.addfile(member, io.BytesIO(data.getvalue()))

rows = datasets.load_dataset("webdataset", data_files="shard.tar", split="train")
there = sum("png" in s or "jpg" in s for s in webdataset.WebDataset("shard.tar", shardshuffle=False))
columns = [name for name in rows.column_names if not name.startswith("__")]
images = sum(row[name] is not None for row in rows for name in columns)
print(f"datasets {datasets.__version__}, webdataset {webdataset.__version__}")
print(f"8 images written; webdataset reads {there}; datasets has {len(rows)} rows, columns {columns}, {images} images")
assert (there, len(rows), columns, images) == (8, 8, ["png"], 5)
PY
