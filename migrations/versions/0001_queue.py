"""procrastinate's own tables, for the version pinned in pyproject.toml; later versions bring revisions of their own."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By the driver's cursor: the file holds many statements and percent signs that are not parameters.
    connection = op.get_bind().connection.driver_connection
    with connection.cursor() as cursor:
        cursor.execute(SchemaManager.get_schema())


def downgrade() -> None:
    raise RuntimeError("The queue's tables are not removed again: restore a backup instead.")
