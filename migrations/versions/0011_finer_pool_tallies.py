"""Tallies of items by split and by their votes for each candidate."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FINE = (
    "study_id, split, dropped_round, votes_0, votes_1",
    """
    SELECT study_id, coalesce(split, '') AS split, coalesce(dropped_round, 0) AS dropped_round, votes_0, votes_1,
           {change} AS change
    FROM {rows} WHERE role = 'pool'""",
)
COARSE = (
    "study_id, dropped_round, is_split, votes",
    """
    SELECT study_id, coalesce(dropped_round, 0) AS dropped_round, first_dissent IS NOT NULL AS is_split,
           votes_0 + votes_1 AS votes, {change} AS change
    FROM {rows} WHERE role = 'pool'""",
)
EVENTS = {"insert": {"is_now": 1}, "update": {"is_now": 1, "was": -1}, "delete": {"was": -1}}


def key_columns(key: str) -> list[sa.Column[object]]:
    types = {"study_id": sa.BigInteger(), "split": sa.Text(), "is_split": sa.Boolean()}
    return [sa.Column(name, types.get(name, sa.Integer()), nullable=False) for name in key.split(", ")]


def count_anew(key: str, select: str) -> None:
    """The table with these key columns, what is there counted, and triggers that book what a statement moves."""
    op.drop_table("pool_tallies")
    op.create_table(
        "pool_tallies",
        *key_columns(key),
        sa.Column("backend", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_pool_tallies_studies")),
        sa.PrimaryKeyConstraint(*key.split(", "), "backend", name=op.f("pk_pool_tallies")),
    )
    op.execute(f"""
        INSERT INTO pool_tallies ({key}, backend, items)
        SELECT {key}, 0, sum(change) FROM ({select.format(rows="items", change=1)}) AS there GROUP BY {key}
    """)
    for event, rows in EVENTS.items():
        moved = " UNION ALL ".join(select.format(rows=name, change=change) for name, change in rows.items())
        op.execute(f"""
            CREATE OR REPLACE FUNCTION tally_items_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO pool_tallies AS tally ({key}, backend, items)
                SELECT {key}, pg_backend_pid(), sum(change) FROM ({moved}) AS moved
                GROUP BY {key} HAVING sum(change) <> 0
                ON CONFLICT ({key}, backend) DO UPDATE SET items = tally.items + excluded.items;
                RETURN NULL;
            END $$
        """)


def upgrade() -> None:
    count_anew(*FINE)


def downgrade() -> None:
    count_anew(*COARSE)
