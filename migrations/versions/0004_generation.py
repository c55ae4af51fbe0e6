"""Generation: plans, their batches, what made each image; and the workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column(
            "started_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "generation_plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("generator", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("revision", sa.Text(), nullable=True),
        sa.Column("options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("articles", sa.Boolean(), nullable=False),
        sa.Column("categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("batch_size", sa.Integer(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("(generator = 'diffusers') = (model IS NOT NULL)", name=op.f("ck_generation_plans_model")),
        sa.CheckConstraint("generator IN ('diffusers', 'procedural')", name=op.f("ck_generation_plans_generator")),
        sa.CheckConstraint(
            "first_number >= 0 AND total > 0 AND batch_size > 0", name=op.f("ck_generation_plans_numbers")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_generation_plans_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_plans")),
        sa.UniqueConstraint("study_id", "first_number", name=op.f("uq_generation_plans_study_id_first_number")),
    )
    op.create_table(
        "generation_batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'done') = (done_at IS NOT NULL AND seconds IS NOT NULL)",
            name=op.f("ck_generation_batches_done_has_time"),
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (reason IS NOT NULL)", name=op.f("ck_generation_batches_failed_has_reason")
        ),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'cancelled', 'failed')", name=op.f("ck_generation_batches_state")
        ),
        sa.CheckConstraint("first_number >= 0 AND size > 0", name=op.f("ck_generation_batches_numbers")),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["generation_plans.id"], name=op.f("fk_generation_batches_generation_plans")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_batches")),
        sa.UniqueConstraint("plan_id", "first_number", name=op.f("uq_generation_batches_plan_id_first_number")),
    )
    op.create_table(
        "generation_calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("recipe", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("images", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["generation_batches.id"], name=op.f("fk_generation_calls_generation_batches")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation_calls")),
    )
    op.create_index(op.f("ix_generation_calls_batch_id"), "generation_calls", ["batch_id"], unique=False)
    op.create_table(
        "set_aside",
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_set_aside_reason")),
        sa.ForeignKeyConstraint(["batch_id"], ["generation_batches.id"], name=op.f("fk_set_aside_generation_batches")),
        sa.PrimaryKeyConstraint("batch_id", "number", name=op.f("pk_set_aside")),
    )
    op.create_table(
        "generated_images",
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "role IN ('reference', 'candidate_0', 'candidate_1')", name=op.f("ck_generated_images_role")
        ),
        sa.CheckConstraint("place >= 0", name=op.f("ck_generated_images_place")),
        sa.ForeignKeyConstraint(
            ["call_id"], ["generation_calls.id"], name=op.f("fk_generated_images_generation_calls")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_generated_images_items")),
        sa.PrimaryKeyConstraint("item_id", "role", name=op.f("pk_generated_images")),
        sa.UniqueConstraint("call_id", "place", name=op.f("uq_generated_images_call_id_place")),
    )


def downgrade() -> None:
    op.drop_table("generated_images")
    op.drop_table("set_aside")
    op.drop_index(op.f("ix_generation_calls_batch_id"), table_name="generation_calls")
    op.drop_table("generation_calls")
    op.drop_table("generation_batches")
    op.drop_table("generation_plans")
    op.drop_table("workers")
