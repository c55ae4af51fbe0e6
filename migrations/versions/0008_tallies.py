"""Tallies of items and assignments, and indices for what the dashboard looks up."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What a statement moved: its rows as they are now count 1, as they were -1. Each backend writes rows of its own, so
# transactions do not wait for each other's counts.
TALLIES = {
    "items": ("pool_tallies", "items", "study_id, dropped_round, is_split, votes", """
        SELECT study_id, coalesce(dropped_round, 0) AS dropped_round, first_dissent IS NOT NULL AS is_split,
               votes_0 + votes_1 AS votes, {change} AS change FROM {rows} WHERE role = 'pool'"""),
    "assignments": ("assignment_tallies", "assignments", "study_id, state",
                    "SELECT study_id, state, {change} AS change FROM {rows}"),
}  # fmt: skip
EVENTS = {"insert": {"is_now": 1}, "update": {"is_now": 1, "was": -1}, "delete": {"was": -1}}
TRANSITION = {"is_now": "NEW TABLE AS is_now", "was": "OLD TABLE AS was"}


def moved(table: str, event: str) -> str:
    """The statement that books what an event moved."""
    tally, counted, key, select = TALLIES[table]
    rows = " UNION ALL ".join(select.format(rows=name, change=change) for name, change in EVENTS[event].items())
    return f"""
        INSERT INTO {tally} AS tally ({key}, backend, {counted})
        SELECT {key}, pg_backend_pid(), sum(change) FROM ({rows}) AS moved
        GROUP BY {key} HAVING sum(change) <> 0
        ON CONFLICT ({key}, backend) DO UPDATE SET {counted} = tally.{counted} + excluded.{counted}
    """


def count_so_far(table: str) -> str:
    tally, counted, key, select = TALLIES[table]
    return f"""
        INSERT INTO {tally} ({key}, backend, {counted})
        SELECT {key}, 0, sum(change) FROM ({select.format(rows=table, change=1)}) AS there GROUP BY {key}
    """


def upgrade() -> None:
    op.create_table(
        "pool_tallies",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("dropped_round", sa.Integer(), nullable=False),
        sa.Column("is_split", sa.Boolean(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("backend", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_pool_tallies_studies")),
        sa.PrimaryKeyConstraint(
            "study_id", "dropped_round", "is_split", "votes", "backend", name=op.f("pk_pool_tallies")
        ),
    )
    op.create_table(
        "assignment_tallies",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("backend", sa.Integer(), nullable=False),
        sa.Column("assignments", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_assignment_tallies_studies")),
        sa.PrimaryKeyConstraint("study_id", "state", "backend", name=op.f("pk_assignment_tallies")),
    )
    for table in TALLIES:
        op.execute(count_so_far(table))
        for event, rows in EVENTS.items():
            op.execute(
                f"CREATE FUNCTION tally_{table}_{event}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {moved(table, event)}; RETURN NULL; END $$"
            )
            op.execute(
                f"CREATE TRIGGER tally_{event} AFTER {event} ON {table} "
                f"REFERENCING {' '.join(TRANSITION[name] for name in rows)} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION tally_{table}_{event}()"
            )
    op.drop_index("ix_assignments_study_id", table_name="assignments")
    op.create_index("ix_assignments_study_id_id", "assignments", ["study_id", "id"])
    op.create_index("ix_assignments_ended", "assignments", ["study_id", sa.text("coalesce(completed_at, deadline)")])
    op.create_index("ix_items_dropped_round", "items", ["study_id", "dropped_round", "number"])
    op.create_index("ix_webhook_events_received_at", "webhook_events", ["received_at"])


def downgrade() -> None:
    op.drop_index("ix_webhook_events_received_at", table_name="webhook_events")
    op.drop_index("ix_items_dropped_round", table_name="items")
    op.drop_index("ix_assignments_ended", table_name="assignments")
    op.drop_index("ix_assignments_study_id_id", table_name="assignments")
    op.create_index("ix_assignments_study_id", "assignments", ["study_id"])
    for table in TALLIES:
        for event in EVENTS:
            op.execute(f"DROP TRIGGER tally_{event} ON {table}")
            op.execute(f"DROP FUNCTION tally_{table}_{event}")
    op.drop_table("assignment_tallies")
    op.drop_table("pool_tallies")
