"""Alembic's entry point: `app.db.upgrade` hands over the engine."""

from alembic import context
from sqlalchemy import text

from app.models.metadata import metadata

engine = context.config.attributes["engine"]
ONE_AT_A_TIME = 5_219_001  # key of the advisory lock under which migrations run


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, include_name=is_ours, transactional_ddl=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        context.run_migrations()
