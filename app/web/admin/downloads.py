"""Texts and tables that a browser is to save."""

import io
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fastapi import Response

from datafiles.writing import write_table


def file(content: str, media_type: str, name: str) -> Response:
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def table(columns: Collection[str], rows: Iterable[Mapping[str, Any]], name: str) -> Response:
    """As CSV; what is None is left empty."""
    text = io.StringIO()
    write_table(text, columns, ([row.get(column) for column in columns] for row in rows))
    return file(text.getvalue(), "text/csv", name)
