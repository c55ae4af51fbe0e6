"""The collection spine: studies, items, slots, people, assignments, judgments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("extension", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("mean_colour", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_images_sha256")),
        sa.CheckConstraint("width > 0 AND height > 0 AND bytes > 0", name=op.f("ck_images_size")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_images")),
    )
    op.create_table(
        "participants",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participants")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_participants_pseudonym")),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("derived_from", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("round", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name=op.f("ck_studies_slug_form")),
        sa.CheckConstraint("state IN ('draft', 'open', 'paused', 'closed')", name=op.f("ck_studies_state")),
        sa.CheckConstraint("round >= 0", name=op.f("ck_studies_round")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("slug", name=op.f("uq_studies_slug")),
    )
    op.create_table(
        "derivatives",
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("bytes > 0", name=op.f("ck_derivatives_size")),
        sa.ForeignKeyConstraint(["image"], ["images.sha256"], name=op.f("fk_derivatives_images")),
        sa.PrimaryKeyConstraint("image", "kind", name=op.f("pk_derivatives")),
    )
    op.create_table(
        "exports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("manifest_sha256", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kept", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_exports_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
        sa.UniqueConstraint("study_id", "version", name=op.f("uq_exports_study_id_version")),
    )
    op.create_table(
        "imports",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("first_number", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("done BETWEEN 0 AND total", name=op.f("ck_imports_done")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_imports_studies")),
        sa.PrimaryKeyConstraint("study_id", "file_sha256", name=op.f("pk_imports")),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("candidate_0", sa.Text(), nullable=False),
        sa.Column("candidate_1", sa.Text(), nullable=True),
        sa.Column("answer", sa.Integer(), nullable=True),
        sa.Column("answer_1", sa.Integer(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("split", sa.Text(), nullable=True),
        sa.Column("is_imagenet", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("recorded_0", sa.Integer(), nullable=True),
        sa.Column("recorded_1", sa.Integer(), nullable=True),
        sa.Column("distance_0", sa.Double(), nullable=True),
        sa.Column("distance_1", sa.Double(), nullable=True),
        sa.Column("votes_0", sa.Integer(), server_default="0", nullable=False),
        sa.Column("votes_1", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_dissent", sa.Integer(), nullable=True),
        sa.Column("dropped_round", sa.Integer(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("(role = 'pool') = (answer IS NULL)", name=op.f("ck_items_answer_known")),
        sa.CheckConstraint("(role = 'pool') = (number IS NOT NULL)", name=op.f("ck_items_pool_has_number")),
        sa.CheckConstraint(
            "role <> 'pool' OR candidate_1 IS NULL OR (reference <> candidate_0 AND reference <> candidate_1)",
            name=op.f("ck_items_reference_differs"),
        ),
        sa.CheckConstraint("role IN ('pool', 'practice', 'sentinel', 'instruction')", name=op.f("ck_items_role")),
        sa.CheckConstraint("split IN ('train', 'val', 'test')", name=op.f("ck_items_split")),
        sa.CheckConstraint("answer IN (0, 1)", name=op.f("ck_items_answer")),
        sa.CheckConstraint(
            "answer_1 IN (0, 1) AND answer IS NOT NULL AND candidate_1 IS NOT NULL OR answer_1 IS NULL",
            name=op.f("ck_items_answer_1"),
        ),
        sa.CheckConstraint("candidate_0 <> candidate_1", name=op.f("ck_items_candidates_differ")),
        sa.CheckConstraint("number >= 0", name=op.f("ck_items_number")),
        sa.CheckConstraint("recorded_0 >= 0 AND recorded_1 >= 0", name=op.f("ck_items_recorded")),
        sa.CheckConstraint("votes_0 >= 0 AND votes_1 >= 0", name=op.f("ck_items_votes")),
        sa.ForeignKeyConstraint(["candidate_0"], ["images.sha256"], name="fk_items_candidate_0"),
        sa.ForeignKeyConstraint(["candidate_1"], ["images.sha256"], name="fk_items_candidate_1"),
        sa.ForeignKeyConstraint(["reference"], ["images.sha256"], name="fk_items_reference"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_items_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_items_study_id_number")),
    )
    op.create_index("ix_items_study_id_role", "items", ["study_id", "role"], unique=False)
    op.create_index(
        "uq_items_triplet",
        "items",
        [
            "study_id",
            "reference",
            sa.literal_column("least(candidate_0, candidate_1)"),
            sa.literal_column("greatest(candidate_0, candidate_1)"),
        ],
        unique=True,
        postgresql_where=sa.text("role = 'pool'"),
    )
    op.create_table(
        "protocol_versions",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_protocol_versions_version")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_protocol_versions_studies")),
        sa.PrimaryKeyConstraint("study_id", "version", name=op.f("pk_protocol_versions")),
    )
    op.create_table(
        "rounds",
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_rounds_number")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_rounds_studies")),
        sa.PrimaryKeyConstraint("study_id", "number", name=op.f("pk_rounds")),
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol_version", sa.Integer(), nullable=False),
        sa.Column("participant_id", sa.BigInteger(), nullable=False),
        sa.Column("recruiter", sa.Text(), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("completion_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
        sa.Column("environment", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("check_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'completed') = (completed_at IS NOT NULL)", name=op.f("ck_assignments_completed_at")
        ),
        sa.CheckConstraint(
            "state IN ('active', 'completed', 'expired', 'withdrawn', 'screened', 'returned')",
            name=op.f("ck_assignments_state"),
        ),
        sa.CheckConstraint("octet_length(token_sha256) = 32", name=op.f("ck_assignments_token_sha256")),
        sa.CheckConstraint("check_tries >= 0", name=op.f("ck_assignments_check_tries")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_assignments_participants")),
        sa.ForeignKeyConstraint(
            ["study_id", "protocol_version"],
            ["protocol_versions.study_id", "protocol_versions.version"],
            name="fk_assignments_protocol_version",
        ),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_assignments_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
        sa.UniqueConstraint("id", "participant_id", name=op.f("uq_assignments_id_participant_id")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_assignments_token_sha256")),
    )
    op.create_index(
        "ix_assignments_deadline",
        "assignments",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_index(op.f("ix_assignments_participant_id"), "assignments", ["participant_id"], unique=False)
    op.create_index(op.f("ix_assignments_study_id"), "assignments", ["study_id"], unique=False)
    op.create_index(
        "uq_assignments_active",
        "assignments",
        ["study_id", "participant_id"],
        unique=True,
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "exclusions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("excluded_by", sa.Text(), nullable=False),
        sa.Column(
            "excluded_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("reinstated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reinstated_by", sa.Text(), nullable=True),
        sa.Column("reinstated_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("length(reason) > 0", name=op.f("ck_exclusions_reason")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f("fk_exclusions_assignments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exclusions")),
    )
    op.create_index(
        "uq_exclusions_in_force",
        "exclusions",
        ["assignment_id"],
        unique=True,
        postgresql_where=sa.text("reinstated_at IS NULL"),
    )
    op.create_table(
        "identities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recruiter", sa.Text(), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=True),
        sa.Column("participant_id", sa.BigInteger(), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint(
            "(kind = 'submission') = (assignment_id IS NOT NULL)", name=op.f("ck_identities_submission_has_assignment")
        ),
        sa.CheckConstraint("kind IN ('participant', 'submission')", name=op.f("ck_identities_kind")),
        sa.CheckConstraint("octet_length(lookup) = 32", name=op.f("ck_identities_lookup")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f("fk_identities_assignments")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_identities_participants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("kind", "lookup", name=op.f("uq_identities_kind_lookup")),
    )
    op.create_index(op.f("ix_identities_assignment_id"), "identities", ["assignment_id"], unique=False)
    op.create_index(op.f("ix_identities_participant_id"), "identities", ["participant_id"], unique=False)
    op.create_table(
        "slots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("study_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("lap", sa.Integer(), nullable=False),
        sa.Column("draw", sa.Integer(), nullable=False),
        sa.Column("make_up", sa.Boolean(), nullable=False),
        sa.Column("replaces", sa.BigInteger(), nullable=True),
        sa.Column("left_candidate", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state <> 'leased' OR (assignment_id IS NOT NULL AND leased_until IS NOT NULL)", name=op.f("ck_slots_lease")
        ),
        sa.CheckConstraint("state IN ('open', 'leased', 'filled', 'closed')", name=op.f("ck_slots_state")),
        sa.CheckConstraint("left_candidate IN (0, 1)", name=op.f("ck_slots_left_candidate")),
        sa.CheckConstraint("ordinal >= 1 AND lap >= 1", name=op.f("ck_slots_ordinal")),
        sa.CheckConstraint("replaces IS NULL OR make_up", name=op.f("ck_slots_replacement_is_make_up")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f("fk_slots_assignments")),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_slots_items")),
        sa.ForeignKeyConstraint(["replaces"], ["slots.id"], name=op.f("fk_slots_slots")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_slots_studies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slots")),
        sa.UniqueConstraint("replaces", name=op.f("uq_slots_replaces")),
    )
    op.create_index("ix_slots_assignment_id", "slots", ["assignment_id"], unique=False)
    op.create_index(
        "ix_slots_deal",
        "slots",
        ["study_id", sa.literal_column("make_up DESC"), "lap", "draw", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_slots_item_id", "slots", ["item_id"], unique=False)
    op.create_index(
        "ix_slots_lease", "slots", ["leased_until"], unique=False, postgresql_where=sa.text("state = 'leased'")
    )
    op.create_index(
        "ix_slots_pending",
        "slots",
        ["study_id", "make_up"],
        unique=False,
        postgresql_where=sa.text("state IN ('open', 'leased')"),
    )
    op.create_index(
        "uq_slots_ordinal", "slots", ["item_id", "ordinal"], unique=True, postgresql_where=sa.text("replaces IS NULL")
    )
    op.create_table(
        "trials",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("participant_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("slot_id", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("left_candidate", sa.Integer(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("left_candidate IN (0, 1)", name=op.f("ck_trials_left_candidate")),
        sa.CheckConstraint("position >= 1 AND attempt >= 0", name=op.f("ck_trials_position")),
        sa.ForeignKeyConstraint(
            ["assignment_id", "participant_id"],
            ["assignments.id", "assignments.participant_id"],
            name="fk_trials_assignments",
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_trials_items")),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name=op.f("fk_trials_slots")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trials")),
        sa.UniqueConstraint("assignment_id", "position", name=op.f("uq_trials_assignment_id_position")),
        sa.UniqueConstraint("participant_id", "item_id", name=op.f("uq_trials_participant_id_item_id")),
    )
    op.create_index("ix_trials_item_id", "trials", ["item_id"], unique=False)
    op.create_index("ix_trials_slot_id", "trials", ["slot_id"], unique=False)
    op.create_table(
        "aborts",
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("timing", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("reason IN ('hidden', 'decode', 'resize')", name=op.f("ck_aborts_reason")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_aborts_trials")),
        sa.PrimaryKeyConstraint("trial_id", "attempt", name=op.f("pk_aborts")),
    )
    op.create_table(
        "judgments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("question", sa.Integer(), nullable=False),
        sa.Column("choice", sa.Integer(), nullable=False),
        sa.Column("slot_id", sa.BigInteger(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("suspect", sa.Boolean(), nullable=False),
        sa.Column("input", sa.Text(), nullable=True),
        sa.Column("rt_ms", sa.Double(), nullable=True),
        sa.Column("timing", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "received_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("choice IN (0, 1)", name=op.f("ck_judgments_choice")),
        sa.CheckConstraint("question >= 0", name=op.f("ck_judgments_question")),
        sa.ForeignKeyConstraint(["slot_id"], ["slots.id"], name=op.f("fk_judgments_slots")),
        sa.ForeignKeyConstraint(["trial_id"], ["trials.id"], name=op.f("fk_judgments_trials")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgments")),
        sa.UniqueConstraint("trial_id", "question", name=op.f("uq_judgments_trial_id_question")),
    )
    op.create_index(
        "uq_judgments_slot_filled_once",
        "judgments",
        ["slot_id"],
        unique=True,
        postgresql_where=sa.text("question = 0 AND NOT late"),
    )


def downgrade() -> None:
    op.drop_index(
        "uq_judgments_slot_filled_once", table_name="judgments", postgresql_where=sa.text("question = 0 AND NOT late")
    )
    op.drop_table("judgments")
    op.drop_table("aborts")
    op.drop_index("ix_trials_slot_id", table_name="trials")
    op.drop_index("ix_trials_item_id", table_name="trials")
    op.drop_table("trials")
    op.drop_index("uq_slots_ordinal", table_name="slots", postgresql_where=sa.text("replaces IS NULL"))
    op.drop_index("ix_slots_pending", table_name="slots", postgresql_where=sa.text("state IN ('open', 'leased')"))
    op.drop_index("ix_slots_lease", table_name="slots", postgresql_where=sa.text("state = 'leased'"))
    op.drop_index("ix_slots_item_id", table_name="slots")
    op.drop_index("ix_slots_deal", table_name="slots", postgresql_where=sa.text("state = 'open'"))
    op.drop_index("ix_slots_assignment_id", table_name="slots")
    op.drop_table("slots")
    op.drop_index(op.f("ix_identities_participant_id"), table_name="identities")
    op.drop_index(op.f("ix_identities_assignment_id"), table_name="identities")
    op.drop_table("identities")
    op.drop_index("uq_exclusions_in_force", table_name="exclusions", postgresql_where=sa.text("reinstated_at IS NULL"))
    op.drop_table("exclusions")
    op.drop_index("uq_assignments_active", table_name="assignments", postgresql_where=sa.text("state = 'active'"))
    op.drop_index(op.f("ix_assignments_study_id"), table_name="assignments")
    op.drop_index(op.f("ix_assignments_participant_id"), table_name="assignments")
    op.drop_index("ix_assignments_deadline", table_name="assignments", postgresql_where=sa.text("state = 'active'"))
    op.drop_table("assignments")
    op.drop_table("rounds")
    op.drop_table("protocol_versions")
    op.drop_index("uq_items_triplet", table_name="items", postgresql_where=sa.text("role = 'pool'"))
    op.drop_index("ix_items_study_id_role", table_name="items")
    op.drop_table("items")
    op.drop_table("imports")
    op.drop_table("exports")
    op.drop_table("derivatives")
    op.drop_table("studies")
    op.drop_table("participants")
    op.drop_table("images")
