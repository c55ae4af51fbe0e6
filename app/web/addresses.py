"""Addresses: who a request comes from, and where this server is reached."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from starlette.requests import Request

from app.settings import Settings
from app.web.deps import get_resources

_FORWARDING = ("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip")


def client_of(request: Request) -> str:
    """Whose attempts count together: an IPv4 address, or the network of an IPv6 one (its first 64 bits), of which one
    household has all addresses."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host or "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return host


def is_from_this_machine(request: Request) -> bool:
    """Whether a program on this machine asks, for itself and not for somebody else: no proxy has left a trace, such as
    the name by which others reach this machine."""
    names = [name.lower() for name in request.headers]
    is_forwarded = any(name in _FORWARDING or name.startswith(("x-forwarded", "x-original", "cf-")) for name in names)
    ends = (request.client.host if request.client else "", request.url.hostname or "")
    return not is_forwarded and all(map(_is_loopback, ends))


def public_url(request: Request) -> str:
    """Where people reach this server, without a slash at the end: PUBLIC_URL. Where that is not set, what the browser
    called, if that is a number or this machine; a name may be anybody's, and is not repeated."""
    settings = get_resources(request).settings
    if not settings.has_public_url and _is_number_or_local(request.url.hostname or ""):
        return f"{request.url.scheme}://{request.url.netloc}"
    return settings.public_url.rstrip("/")


def is_link_certain(request: Request) -> bool:
    """Whether others surely reach what `public_url` says."""
    return get_resources(request).settings.has_public_url


def is_reached_by_all(settings: Settings) -> bool:
    """Whether this server is meant for more than its own machine, as far as PUBLIC_URL says."""
    return settings.has_public_url and not _is_loopback(urlsplit(settings.public_url).hostname or "")


def _is_number_or_local(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
