"""Style sheets and scripts, at addresses that name their content: a browser keeps what it has, and never keeps it for
too long."""

import re
from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.paths import STATIC

FOR_EVER = "public, max-age=31536000, immutable"
_RELEASE = re.compile("[0-9a-f]{16}")


@cache
def release() -> str:
    """A hash of every file, as they are when it is first asked for: one for all of them, since scripts import each
    other by relative addresses."""
    digest = sha256()
    for path in sorted(path for path in Path(STATIC).rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(STATIC).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def static(path: str) -> str:
    """The address of a file for this release's pages."""
    return f"/static/{release()}/{path}"


class Assets(StaticFiles):
    """A file under its release is kept for ever. Under its mere name browsers ask each time whether it has changed; so
    they do under another release, whose page came from a server that is newer or older than this one."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        named, _, rest = path.partition("/")
        response = await super().get_response(rest if _RELEASE.fullmatch(named) else path, scope)
        response.headers["Cache-Control"] = FOR_EVER if named == release() else "no-cache"
        return response
