"""Imports of ZIP files that were sent, which a worker does like those of folders."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("import_requests", sa.Column("upload", sa.Text()))
    op.create_check_constraint(op.f("ck_import_requests_upload"), "import_requests", "upload ~ '^[0-9a-f]{32}$'")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_import_requests_upload"), "import_requests")
    op.drop_column("import_requests", "upload")
