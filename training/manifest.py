"""What an export says of itself: which files it has, and their hashes."""

import hashlib
import json
from pathlib import Path
from typing import Any

from training.errors import DataError

MANIFEST = "manifest.json"


def read_manifest(folder: Path) -> dict[Path, str] | None:
    """The sha256 of every file of an export by absolute path, or None where there is no manifest (plain
    NIGHTS).

    Raises DataError where a listed file is missing or a table differs from its hash. The images' hashes are
    compared when they are decoded, so that opening a large export does not read it twice.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return None
    try:
        listed = json.loads(file.read_text(encoding="utf-8-sig"))["files"]
        hashes = {(folder / name).resolve(): _digest(entry) for name, entry in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{file}: must be JSON with `files`, a sha256 for each path") from None
    missing = [path for path in hashes if not path.is_file()]
    if missing:
        raise DataError(f"{folder} is incomplete: {len(missing)} of its files are missing, the first is {missing[0]}")
    for path, digest in hashes.items():
        if path.suffix == ".csv":
            check_file(path, digest)
    return hashes


def _digest(entry: Any) -> str:
    return str(entry["sha256"] if isinstance(entry, dict) else entry)


def check_hash(path: Path, content: bytes, expected: str) -> None:
    """Raises DataError for other content than was exported."""
    _compare(path, hashlib.sha256(content).hexdigest(), expected)


def check_file(path: Path, expected: str) -> None:
    """The same for a file of any size, read in pieces."""
    with path.open("rb") as file:
        _compare(path, hashlib.file_digest(file, "sha256").hexdigest(), expected)


def _compare(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise DataError(f"{path} is not the file that was exported: its sha256 is {found[:12]}…, not {expected[:12]}…")
