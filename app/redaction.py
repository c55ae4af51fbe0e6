"""The secrets this process knows, taken out of whatever is about to be read by people.

The last of three lines. Secrets are checked when they are read, so that no library finds fault with one and quotes it;
texts of other people's exceptions are not repeated (`outside.py`); and what still holds one, a server's answer that
echoes a header, a traceback in a log, loses it here.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 12
"""Characters of a secret that is looked for: a password such as `lookalike` is a word of every other sentence."""
REDACTED = "[secret]"

_forms: set[str] = set()
_pattern = re.compile(r"(?!)")


def register(secrets: Iterable[str]) -> None:
    """Never let these out from now on."""
    global _pattern
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _spellings(secret)}
    if not forms <= _forms:
        _forms.update(forms)
        _pattern = re.compile("|".join(map(re.escape, sorted(_forms, key=len, reverse=True))))


def redact(text: str) -> str:
    """The text without any registered secret, as it is, percent-encoded, escaped or in base64."""
    return _pattern.sub(REDACTED, text)


def _spellings(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], repr(secret)[1:-1])
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):
            yield _base64_core(encode(b"\0" * offset + secret.encode()).decode(), offset)


def _base64_core(encoded: str, offset: int) -> str:
    """The characters that are the same whatever stands before and after the secret, which begins `offset` bytes into
    a group of three."""
    first, last = (0, 2, 3)[offset], encoded.rstrip("=")
    return last[first:] if len(last) == len(encoded) else last[first:-1]
