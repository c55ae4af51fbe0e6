"""Where image bytes lie: by the sha256 of their content, written once and never changed."""

from app.storage.base import Storage, Stored
from app.storage.choice import open_place, open_storage
from app.storage.local import LocalStorage

__all__ = ["LocalStorage", "Storage", "Stored", "open_place", "open_storage"]
