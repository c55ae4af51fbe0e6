"""Recruiting: consent kept, recruiters' studies and submissions, budgets and their ledger, notices, links."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_APPEND_ONLY = """
    CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ledger_is_append_only';
    END $$;
    CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
"""


def upgrade() -> None:
    op.create_table(
        "used_links",
        sa.Column("link_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("link_sha256", name=op.f("pk_used_links")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("event_sha256", sa.LargeBinary(), nullable=False),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("event_sha256", name=op.f("pk_webhook_events")),
    )
    op.create_table(
        "budgets",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
        sa.Column("committed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outside", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "cap >= 0 AND committed >= 0 AND spent >= 0 AND outside >= 0", name=op.f("ck_budgets_amounts")
        ),
        sa.CheckConstraint("committed + spent <= cap", name=op.f("ck_budgets_cap")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_budgets_studies")),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_budgets")),
    )
    op.create_table(
        "invitations",
        sa.Column("code_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_invitations_studies")),
        sa.PrimaryKeyConstraint("code_sha256", name=op.f("pk_invitations")),
    )
    op.create_index(op.f("ix_invitations_study_id"), "invitations", ["study_id"], unique=False)
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("stops", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_notices_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index(
        "uq_notices_unresolved",
        "notices",
        ["study_id", "kind", "subject"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "recruitments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("recruiter", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("reward", sa.BigInteger(), nullable=False),
        sa.Column("place_cost", sa.BigInteger(), nullable=False),
        sa.Column("codes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'planned') = (external_id IS NULL)", name=op.f("ck_recruitments_external_id")),
        sa.CheckConstraint(
            "state IN ('planned', 'draft', 'open', 'paused', 'stopped')", name=op.f("ck_recruitments_state")
        ),
        sa.CheckConstraint("places > 0 AND reward >= 0 AND place_cost >= reward", name=op.f("ck_recruitments_amounts")),
        sa.ForeignKeyConstraint(["study_id"], ["budgets.study_id"], name=op.f("fk_recruitments_budgets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recruitments")),
        sa.UniqueConstraint("recruiter", "external_id", name=op.f("uq_recruitments_recruiter_external_id")),
        sa.UniqueConstraint("reference", name=op.f("uq_recruitments_reference")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_recruitments_study_id_number")),
    )
    op.create_table(
        "bonus_batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recruitment_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="intended", nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("quoted", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('intended', 'paying', 'paid', 'refused', 'unclear', 'not_paid')",
            name=op.f("ck_bonus_batches_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('paying', 'paid', 'unclear') OR (external_id IS NOT NULL AND quoted IS NOT NULL)",
            name=op.f("ck_bonus_batches_external_id"),
        ),
        sa.ForeignKeyConstraint(["recruitment_id"], ["recruitments.id"], name=op.f("fk_bonus_batches_recruitments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bonus_batches")),
        sa.UniqueConstraint("external_id", name=op.f("uq_bonus_batches_external_id")),
    )
    op.create_table(
        "bonuses",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("amount > 0 AND price >= amount", name=op.f("ck_bonuses_amount")),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_bonuses_reason")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f("fk_bonuses_assignments")),
        sa.ForeignKeyConstraint(["batch_id"], ["bonus_batches.id"], name=op.f("fk_bonuses_bonus_batches")),
        sa.ForeignKeyConstraint(["study_id"], ["budgets.study_id"], name=op.f("fk_bonuses_budgets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bonuses")),
    )
    op.create_index("ix_bonuses_batch_id", "bonuses", ["batch_id"], unique=False)
    op.create_index(
        "uq_bonuses_once",
        "bonuses",
        ["assignment_id", "reason"],
        unique=True,
        postgresql_where=sa.text("NOT cancelled"),
    )
    op.create_table(
        "submissions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recruitment_id", sa.BigInteger(), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("octet_length(lookup) = 32", name=op.f("ck_submissions_lookup")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f("fk_submissions_assignments")),
        sa.ForeignKeyConstraint(["recruitment_id"], ["recruitments.id"], name=op.f("fk_submissions_recruitments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("lookup", name=op.f("uq_submissions_lookup")),
    )
    op.create_index("ix_submissions_recruitment_id", "submissions", ["recruitment_id", "status"], unique=False)
    op.create_index("uq_submissions_assignment_id", "submissions", ["assignment_id"], unique=True)
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("committed", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("outside", sa.BigInteger(), nullable=False),
        sa.Column("recruitment_id", sa.BigInteger(), nullable=True),
        sa.Column("submission_id", sa.BigInteger(), nullable=True),
        sa.Column("bonus_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'reward') = (submission_id IS NOT NULL)", name=op.f("ck_ledger_reward_has_submission")
        ),
        sa.CheckConstraint(
            "(kind IN ('bonus', 'bonus_paid', 'bonus_cancelled')) = (bonus_id IS NOT NULL)",
            name=op.f("ck_ledger_bonus_has_bonus"),
        ),
        sa.CheckConstraint(
            "kind IN ('places', 'reward', 'unused', 'bonus', 'bonus_paid', 'bonus_cancelled', 'outside', 'settled')",
            name=op.f("ck_ledger_kind"),
        ),
        sa.ForeignKeyConstraint(["bonus_id"], ["bonuses.id"], name=op.f("fk_ledger_bonuses")),
        sa.ForeignKeyConstraint(["recruitment_id"], ["recruitments.id"], name=op.f("fk_ledger_recruitments")),
        sa.ForeignKeyConstraint(["study_id"], ["budgets.study_id"], name=op.f("fk_ledger_budgets")),
        sa.ForeignKeyConstraint(["submission_id"], ["submissions.id"], name=op.f("fk_ledger_submissions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_recruitment_id", "ledger", ["recruitment_id"], unique=False)
    op.create_index("ix_ledger_study_id", "ledger", ["study_id"], unique=False)
    op.create_index(
        "uq_ledger_bonus_ends_once", "ledger", ["bonus_id"], unique=True, postgresql_where=sa.text("kind <> 'bonus'")
    )
    op.create_index("uq_ledger_bonus_once", "ledger", ["bonus_id", "kind"], unique=True)
    op.create_index("uq_ledger_reward_once", "ledger", ["submission_id"], unique=True)
    op.create_index(
        "uq_ledger_settled_once",
        "ledger",
        ["recruitment_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'settled'"),
    )
    op.add_column("assignments", sa.Column("consent_version", sa.Integer(), nullable=True))
    op.add_column(
        "assignments",
        sa.Column(
            "consented_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
    )
    op.execute("UPDATE assignments SET consent_version = protocol_version, consented_at = created_at")
    op.alter_column("assignments", "consent_version", nullable=False)
    op.add_column("assignments", sa.Column("recruitment_id", sa.BigInteger(), nullable=True))
    op.add_column("assignments", sa.Column("submit_to", sa.Text(), nullable=True))
    op.create_index(op.f("ix_assignments_recruitment_id"), "assignments", ["recruitment_id"], unique=False)
    op.create_foreign_key(
        "fk_assignments_consent_version",
        "assignments",
        "protocol_versions",
        ["study_id", "consent_version"],
        ["study_id", "version"],
    )
    op.create_foreign_key(
        op.f("fk_assignments_recruitments"), "assignments", "recruitments", ["recruitment_id"], ["id"]
    )
    op.add_column("participants", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(_APPEND_ONLY)


def downgrade() -> None:
    op.drop_column("participants", "erased_at")
    op.drop_constraint(op.f("fk_assignments_recruitments"), "assignments", type_="foreignkey")
    op.drop_constraint("fk_assignments_consent_version", "assignments", type_="foreignkey")
    op.drop_index(op.f("ix_assignments_recruitment_id"), table_name="assignments")
    op.drop_column("assignments", "submit_to")
    op.drop_column("assignments", "recruitment_id")
    op.drop_column("assignments", "consented_at")
    op.drop_column("assignments", "consent_version")
    op.drop_index("uq_ledger_settled_once", table_name="ledger", postgresql_where=sa.text("kind = 'settled'"))
    op.drop_index("uq_ledger_reward_once", table_name="ledger")
    op.drop_index("uq_ledger_bonus_once", table_name="ledger")
    op.drop_index("uq_ledger_bonus_ends_once", table_name="ledger", postgresql_where=sa.text("kind <> 'bonus'"))
    op.drop_index("ix_ledger_study_id", table_name="ledger")
    op.drop_index("ix_ledger_recruitment_id", table_name="ledger")
    op.drop_table("ledger")
    op.execute("DROP FUNCTION ledger_is_append_only")
    op.drop_index("uq_submissions_assignment_id", table_name="submissions")
    op.drop_index("ix_submissions_recruitment_id", table_name="submissions")
    op.drop_table("submissions")
    op.drop_index("uq_bonuses_once", table_name="bonuses", postgresql_where=sa.text("NOT cancelled"))
    op.drop_index("ix_bonuses_batch_id", table_name="bonuses")
    op.drop_table("bonuses")
    op.drop_table("bonus_batches")
    op.drop_table("recruitments")
    op.drop_index("uq_notices_unresolved", table_name="notices", postgresql_where=sa.text("resolved_at IS NULL"))
    op.drop_table("notices")
    op.drop_index(op.f("ix_invitations_study_id"), table_name="invitations")
    op.drop_table("invitations")
    op.drop_table("budgets")
    op.drop_table("webhook_events")
    op.drop_table("used_links")
