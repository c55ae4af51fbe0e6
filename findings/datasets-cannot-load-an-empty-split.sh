#!/usr/bin/env bash
# datasets: a split without rows cannot be loaded from Parquet.
#
# Where: load_dataset("parquet") on a valid file of 0 rows: the validation split of a small study, say.
# Guess: a dataset of 0 rows with the file's columns.
# Seen:  with one empty row group DatasetGenerationError (pyarrow: the batch size must be greater than 0), with no row group
#        ValueError (the split corresponds to no data). pyarrow reads both.
# Do:    leave the file of an empty split out, and have readers ask which splits there are.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
cd "$work" && HF_HOME="$work/hf" HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import datasets
import pyarrow as pa
from pyarrow import parquet

datasets.disable_progress_bars()
schema = pa.schema({"number": pa.int64()})
parquet.write_table(schema.empty_table(), "one_group.parquet")
parquet.ParquetWriter("no_group.parquet", schema).close()
print(f"datasets {datasets.__version__}, pyarrow {pa.__version__}")
seen = {}
for name in ("one_group", "no_group"):
    rows = parquet.read_table(f"{name}.parquet").num_rows
    try:
        seen[name] = len(datasets.load_dataset("parquet", data_files=f"{name}.parquet", split="train"))
    except Exception as error:
        seen[name] = type(error).__name__
    print(f"{name}: pyarrow {rows} rows, datasets {seen[name]}")
assert seen == {"one_group": "DatasetGenerationError", "no_group": "ValueError"}
PY
