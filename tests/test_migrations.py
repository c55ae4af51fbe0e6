"""The migrations make what the models say."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, text

from app.db import Sessions
from app.models.metadata import metadata


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def test_tables_columns_and_indices_agree(sessions: Sessions) -> None:
    with sessions() as session:
        options = {"include_name": is_ours, "compare_server_default": True}
        context = MigrationContext.configure(session.connection(), opts=options)
        assert compare_metadata(context, metadata) == []


def test_checks_agree(sessions: Sessions) -> None:
    """By their names: the database writes the conditions in words of its own."""
    checks = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and constraint.name
    }
    there = text("""
        SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
        WHERE c.contype = 'c' AND c.connamespace = CAST('public' AS regnamespace)
          AND t.relname NOT LIKE 'procrastinate%'
    """)
    with sessions() as session:
        assert set(session.scalars(there)) == checks
