"""Where the server of a home listens, for the commands that name it or call it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from app.errors import BadInput, Unavailable
from app.settings import Settings

DEFAULT_ADDRESS = "http://127.0.0.1:8000"
_FILE = "server-address"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on, but called
_TIMEOUT_S = 5


@contextmanager
def announced(home: Path, listener: socket.socket) -> Iterator[None]:
    """Note in the home, while the block runs, where its server listens."""
    file, address = home / _FILE, _address(*listener.getsockname()[:2])
    with suppress(OSError):  # a home that cannot be written to has no embedded database either: all runs on settings
        file.write_text(address, "utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            if file.read_text("utf-8") == address:
                file.unlink()


def _address(host: str, port: int) -> str:
    host = _EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def running_server(home: Path) -> str | None:
    """The address of the home's server, if it runs on this machine."""
    try:
        address = (home / _FILE).read_text("utf-8")
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1):
            return address
    except (OSError, ValueError):  # there was none, or it was killed
        return None


def public_address(settings: Settings) -> str:
    """Where participants are sent: PUBLIC_URL; without it, to the server that runs, or would by default."""
    if settings.has_public_url:
        return settings.public_url.rstrip("/")
    return running_server(settings.home) or DEFAULT_ADDRESS


def require_server(url: str) -> None:
    """Ask once, so that a server that was never started is not waited for.

    Raises:
        BadInput: this is no address. Unavailable: nobody answers there.
    """
    try:
        httpx.get(url, timeout=_TIMEOUT_S)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise BadInput(f"--url takes an address such as {DEFAULT_ADDRESS} (got {url!r}).") from None
    except httpx.TransportError:
        raise Unavailable(
            f"No server answers at {url}. Start it in another terminal (lookalike up), or say where it is: --url"
        ) from None
