"""Every table, for Alembic: importing the modules is what registers them."""

from app.models import accounts, assignments, items, people, studies
from app.models.base import Base

__all__ = ["accounts", "assignments", "items", "metadata", "people", "studies"]

metadata = Base.metadata
