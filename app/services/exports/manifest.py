"""The manifest: what an export holds, and the sha256 of every file of it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(path: Path, head: dict[str, Any], files: Iterable[tuple[str, str]]) -> str:
    """Write `head` plus `files` (path → sha256), one file a line and never all in memory; returns its own sha256."""
    opening = json.dumps(head, indent=2, ensure_ascii=False, sort_keys=True).removesuffix("\n}")
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write(f'{opening},\n  "files": {{')
        separator = "\n"
        for name, sha256 in files:
            out.write(f"{separator}    {json.dumps(name)}: {json.dumps(sha256)}")
            separator = ",\n"
        out.write("\n  }\n}\n")
    return file_sha256(path)
