"""Every table, for Alembic: importing the modules is what registers them."""

from app.models import assignments, items, money, people, recruiting, studies
from app.models.base import Base

__all__ = ["assignments", "items", "metadata", "money", "people", "recruiting", "studies"]

metadata = Base.metadata
