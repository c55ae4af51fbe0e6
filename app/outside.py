"""Why somebody outside could not be used, in words for people.

Other people's exceptions quote what they were given: a header with its token, an address with its password. So their
texts are not repeated. What went wrong is told by the kinds of the exception and of what caused it, and by what the
operating system, TLS or the database's server said of it.
"""

import socket
import ssl
from collections.abc import Iterator
from http.client import IncompleteRead

from app.redaction import redact

_MOST_CAUSES = 20


def explain(error: BaseException) -> str:
    """A part of a sentence, such as `connection refused`: of the innermost cause that says something."""
    causes = list(_causes(error))
    told = (_words(cause) for cause in reversed(causes))
    return redact(next(filter(None, told), type(error).__name__))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, outermost first. Libraries keep that in different places."""
    found: list[BaseException] = [error]
    for cause in found:
        yield cause
        kept = [cause.__cause__, cause.__context__, *cause.args]
        kept += [getattr(cause, name, None) for name in ("orig", "reason")]  # SQLAlchemy's, urllib's
        kept.append(getattr(cause, "kwargs", {}).get("error"))  # botocore's
        found += [one for one in kept if isinstance(one, BaseException) and one not in found][
            : _MOST_CAUSES - len(found)
        ]


def _words(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted ({error.verify_message or 'it cannot be verified'})"
        case ssl.SSLError():
            return f"no encrypted connection came about ({(error.reason or 'TLS failed').replace('_', ' ').lower()})"
        case socket.gaierror():
            return "no machine of that name is found"
        case TimeoutError():
            return "no answer in time"
        case UnicodeError():
            return "there are characters that cannot be sent or read"
        case IncompleteRead() | EOFError():
            return "the answer broke off"
        case OSError() if error.strerror:
            return error.strerror.lower()
        case ConnectionError():
            return "the connection was closed"
    if said := getattr(getattr(error, "diag", None), "message_primary", None):  # psycopg's, of the server
        return str(said)
    if "Timeout" in type(error).__name__:
        return "no answer in time"
    if type(error).__module__.startswith("psycopg"):  # libpq's, which names host, port and user
        return " ".join(str(error).split())
    return None
