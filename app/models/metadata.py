"""Every table, for Alembic: importing the modules is what registers them."""

from app.models import accounts, assignments, generation, items, people, quality, studies, workers
from app.models.base import Base

__all__ = ["accounts", "assignments", "generation", "items", "metadata", "people", "quality", "studies", "workers"]

metadata = Base.metadata
