"""Every table, for Alembic: importing the modules is what registers them."""

from app.models import assignments, items, people, quality, studies
from app.models.base import Base

__all__ = ["assignments", "items", "metadata", "people", "quality", "studies"]

metadata = Base.metadata
