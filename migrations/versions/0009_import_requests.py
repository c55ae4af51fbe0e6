"""Imports that are asked for in the dashboard and done by a worker."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "import_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("normalise", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("items", sa.Integer(), nullable=True),
        sa.Column("already_there", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name=op.f("ck_import_requests_state")),
        sa.CheckConstraint("length(source) > 0", name=op.f("ck_import_requests_source")),
        sa.CheckConstraint("done BETWEEN 0 AND total", name=op.f("ck_import_requests_done")),
        sa.CheckConstraint(
            "(state = 'done') = (items IS NOT NULL AND already_there IS NOT NULL)",
            name=op.f("ck_import_requests_done_has_counts"),
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (message IS NOT NULL)", name=op.f("ck_import_requests_failed_has_message")
        ),
        sa.CheckConstraint(
            "(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name=op.f("ck_import_requests_ended")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_import_requests_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_requests")),
    )
    op.create_index(op.f("ix_import_requests_study_id"), "import_requests", ["study_id", "id"])
    op.create_index(
        "uq_import_requests_under_way",
        "import_requests",
        ["study_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('waiting', 'running')"),
    )


def downgrade() -> None:
    op.drop_table("import_requests")
