"""JSON as it comes from outside: read within bounds, so that whatever reads it can also store it."""

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Arrays and objects within each other: far more than anything we ask for, far less than a reader's stack holds."""


class UnusableJSON(json.JSONDecodeError):
    """Not JSON, or JSON that two readers may understand differently or that cannot be stored; `msg` says why."""


def read_json(text: bytes, *, storable: bool = True) -> Any:
    """The value of a JSON text (RFC 8259).

    Without `storable` it may hold what Postgres cannot store: NaN and infinite numbers, the null character and lone
    surrogates. That is for readers who look at every value themselves.

    Raises:
        UnusableJSON: the text is no JSON in UTF-8, nested too deeply, names a member twice, has a number of thousands
            of digits, or holds what cannot be stored.
    """
    try:
        value = json.loads(text.decode(), object_pairs_hook=_members)
    except UnusableJSON:
        raise
    except json.JSONDecodeError as error:
        raise UnusableJSON(error.msg, "", 0) from None
    except RecursionError:
        _refuse(f"it is nested more than {MAX_DEPTH} deep")
    except UnicodeDecodeError:
        _refuse("it is not in UTF-8")
    except ValueError:
        _refuse("it has a number of too many digits")
    # Counted only where there may be so many: the brackets of a text are never fewer than its depth.
    is_perhaps_deep = text.count(b"[") + text.count(b"{") > MAX_DEPTH
    if storable or is_perhaps_deep:
        _check(value, storable=storable)
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        _refuse("it names a member of an object twice")
    return members


def _check(value: Any, *, storable: bool) -> None:
    """Level by level, not by recursion."""
    level, depth = [value], 0
    while level:
        if storable:
            for each in level:
                _require_storable(each)
        containers = [each for each in level if isinstance(each, dict | list)]
        if containers and depth == MAX_DEPTH:
            _refuse(f"it is nested more than {MAX_DEPTH} deep")
        level = [inner for each in containers for inner in _within(each)]
        depth += 1


def _within(value: dict[str, Any] | list[Any]) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else value


def _require_storable(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        _refuse("it has a number that is not finite")
    if isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        _refuse("it has a null character or a lone surrogate")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse(why: str) -> NoReturn:
    raise UnusableJSON(why, "", 0)
