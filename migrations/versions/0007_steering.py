"""Studies that are put away, and people who may not take part again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("studies", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        op.f("ck_studies_archived_at_rest"), "studies", "archived_at IS NULL OR state IN ('draft', 'closed')"
    )
    op.create_table(
        "blocks",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("participant_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_blocks_reason")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_blocks_participants")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_blocks_studies")),
        sa.PrimaryKeyConstraint("study_id", "participant_id", name=op.f("pk_blocks")),
    )


def downgrade() -> None:
    op.drop_table("blocks")
    op.drop_constraint(op.f("ck_studies_archived_at_rest"), "studies")
    op.drop_column("studies", "archived_at")
