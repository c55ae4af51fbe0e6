"""Parquet tables, written batch by batch."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Row

from app.services.exports.queries import BATCH

_TIME = pa.timestamp("us", tz="UTC")

JUDGMENTS = pa.schema([
    ("id", pa.int64()), ("participant", pa.string()), ("assignment", pa.int64()), ("position", pa.int32()),
    ("role", pa.string()), ("item", pa.int64()), ("reference", pa.string()), ("candidate_0", pa.string()),
    ("candidate_1", pa.string()), ("answer", pa.int8()), ("question", pa.int8()), ("choice", pa.int8()),
    ("left_candidate", pa.int8()), ("side", pa.string()), ("round", pa.int32()), ("ordinal", pa.int32()),
    ("make_up", pa.bool_()), ("late", pa.bool_()), ("excluded", pa.bool_()), ("exclusion_reason", pa.string()),
    ("excluded_by", pa.string()), ("excluded_at", _TIME), ("input", pa.string()), ("rt_ms", pa.float64()),
    ("suspect", pa.bool_()), ("timing", pa.string()), ("scale", pa.float64()), ("attempt", pa.int32()),
    ("received_at", _TIME),
])  # fmt: skip

ITEMS = pa.schema([
    ("number", pa.int64()), ("status", pa.string()), ("dropped_round", pa.int32()), ("votes_0", pa.int32()),
    ("votes_1", pa.int32()), ("split", pa.string()), ("is_imagenet", pa.bool_()), ("prompt", pa.string()),
    ("source", pa.string()), ("reference", pa.string()), ("candidate_0", pa.string()), ("candidate_1", pa.string()),
    ("recorded_0", pa.int32()), ("recorded_1", pa.int32()), ("distance_0", pa.float64()),
    ("distance_1", pa.float64()),
])  # fmt: skip

ASSIGNMENTS = pa.schema([
    ("assignment", pa.int64()), ("participant", pa.string()), ("recruiter", pa.string()),
    ("protocol_version", pa.int32()), ("state", pa.string()), ("created_at", _TIME), ("completed_at", _TIME),
    ("deadline", _TIME), ("excluded", pa.bool_()), ("trials", pa.int32()), ("answered", pa.int32()),
    ("sentinels", pa.int32()), ("sentinels_missed", pa.int32()), ("environment", pa.string()),
])  # fmt: skip


def write_parquet(path: Path, schema: pa.Schema, rows: Iterable[Row[Any]]) -> int:
    """Write the rows' columns that the schema names; returns how many rows there were."""
    written = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(iter(rows)):
            columns = {name: [getattr(row, name) for row in batch] for name in schema.names}
            writer.write_table(pa.table(columns, schema=schema))
            written += len(batch)
    return written


def _batches(rows: Iterator[Row[Any]]) -> Iterator[list[Row[Any]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch
