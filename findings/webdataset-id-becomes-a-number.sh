#!/usr/bin/env bash
# webdataset, datasets: a member `.id` is read as a whole number; "00012" comes back as 12.
#
# Where: webdataset's decode() and load_dataset("webdataset").
# Guess: `.id` holds text, as `.txt` does.
# Seen:  it goes through int(): leading zeros are gone, so that it no longer names a file, and "n01440764" is an error.
# Do:    write identifiers as `.txt` or inside `.json`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 webdataset==1.0.2 pillow==13.0.0
cd "$work" && HF_HOME="$work/hf" HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import datasets
import webdataset

datasets.disable_progress_bars()


def write(identifier):
    with webdataset.TarWriter("shard.tar") as tar:
        tar.write({"__key__": "0", "id": identifier.encode(), "txt": identifier})


write("00012")
(direct,) = webdataset.WebDataset("shard.tar", shardshuffle=False).decode()
loaded = datasets.load_dataset("webdataset", data_files="shard.tar", split="train")[0]
print(f"webdataset {webdataset.__version__}: id {direct['id']!r}, txt {direct['txt']!r}")
print(f"datasets {datasets.__version__}: id {loaded['id']!r}, txt {loaded['txt']!r}")
assert (direct["id"], direct["txt"], loaded["id"], loaded["txt"]) == (12, "00012", 12, "00012")

write("n01440764")
try:
    list(webdataset.WebDataset("shard.tar", shardshuffle=False).decode())
except Exception as error:
    print(f"n01440764: {type(error).__name__}")
else:
    raise SystemExit("an identifier that is no number is read now")
PY
