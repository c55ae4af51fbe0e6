"""How often one may try to guess a secret.

Whoever guesses from elsewhere must not lock out whom the account belongs to (OWASP: device cookies). A browser in which
somebody has signed in before is known by its cookie and has attempts of its own, which nobody else can use up. All
others share: an address has few attempts on an account and not many in all, and all of them together have so many that
it takes a crowd to use them up, and far too few to guess a password of 12 characters.

Counted in the process: with several servers each counts for itself, and a restart forgets.
"""

from dataclasses import dataclass
from hashlib import sha256

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import TooMany

ADDRESS_ON_ACCOUNT = RateLimitItemPerMinute(5, 5)
ADDRESS = RateLimitItemPerMinute(30, 5)
ACCOUNT = RateLimitItemPerHour(1000)
KNOWN_BROWSER = RateLimitItemPerMinute(10, 15)
CODES_OF_ACCOUNT = RateLimitItemPerHour(10)
"""Six digits are soon guessed, and who gets to guess has the password already."""
SIGN_IN = RateLimitItemPerHour(10)
"""Passwords and codes that a signed-in browser is asked for: its cookie may have been stolen."""


@dataclass(frozen=True)
class Visitor:
    """Who tries: from which address, and in which browser, if the account knows it."""

    address: str
    browser: str | None


class Attempts:
    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count_password(self, visitor: Visitor, *, email: str) -> None:
        """Raises TooMany."""
        if visitor.browser is not None:
            self._count((KNOWN_BROWSER, "password", visitor.browser))
        else:
            self._count(
                (ADDRESS_ON_ACCOUNT, "password", visitor.address, email),
                (ADDRESS, "password", visitor.address),
                (ACCOUNT, "password", email),
            )

    def count_code(self, visitor: Visitor, *, email: str) -> None:
        """Raises TooMany."""
        if visitor.browser is not None:
            self._count((KNOWN_BROWSER, "code", visitor.browser))
        else:
            self._count((CODES_OF_ACCOUNT, "code", email))

    def count_signed_in(self, token_sha256: bytes) -> None:
        """Of a browser that is signed in, and has to show once more whose it is. Raises TooMany."""
        self._count((SIGN_IN, "signed in", token_sha256.hex()))

    def forgive(self, visitor: Visitor, *, email: str) -> None:
        """After a success: who mistyped begins anew. What others have used up stays used up."""
        self._limiter.clear(ADDRESS_ON_ACCOUNT, _key("password", visitor.address, email))

    def _count(self, *limits: tuple[RateLimitItem, *tuple[str, ...]]) -> None:
        for limit, *parts in limits:
            if not self._limiter.hit(limit, _key(*parts)):
                minutes = limit.get_expiry() // 60
                raise TooMany(
                    f"Too many attempts. Please wait {minutes} minutes, then try again.",
                    retry_after=limit.get_expiry(),
                )


def _key(*parts: str) -> str:
    """Of one length, however long what was typed."""
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
