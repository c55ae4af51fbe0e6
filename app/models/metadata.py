"""Every table, for Alembic: importing the modules is what registers them."""

from app.models import (
    accounts,
    assignments,
    generation,
    items,
    money,
    people,
    quality,
    recruiting,
    studies,
    tallies,
    workers,
)
from app.models.base import Base

__all__ = [
    "accounts",
    "assignments",
    "generation",
    "items",
    "metadata",
    "money",
    "people",
    "quality",
    "recruiting",
    "studies",
    "tallies",
    "workers",
]

metadata = Base.metadata
