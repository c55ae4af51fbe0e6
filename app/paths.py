"""Where templates, static files and migrations lie: beside `app/` in a checkout, inside it in the wheel."""

from pathlib import Path

_APP = Path(__file__).resolve().parent
ROOT = _APP if (_APP / "templates").is_dir() else _APP.parent

TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
MIGRATIONS = ROOT / "migrations"
