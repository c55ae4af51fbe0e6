"""What people mean by a cell, however a spreadsheet or a statistics program wrote it."""

import re
from decimal import Decimal

MISSING = ("", "na", "nan", "<na>", "n/a", "#n/a", "null", "none")
"""What R, pandas, spreadsheets, databases and Python write, in any case, for a value that is not there; not in texts,
where it may be a word."""
MOST_DIGITS = 9
"""Of a whole number: 32 bits hold it, and leave room above it."""

# With two zeros at most after a separator, or four and more: 1.000 and 1,000 are a thousand to some people.
_WHOLE = re.compile(r"[0-9]+(?:[.,](?:0{1,2}|0{4,}))?|[0-9]+(?:\.[0-9]+)?e\+?[0-9]{1,2}", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
# Spreadsheets write truth in the language of their user.
_TRUE = ("true", "1", "1.0", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar")
_FALSE = ("false", "0", "0.0", "falsch", "faux", "falso", "onwaar")


def whole_number(text: str) -> int:
    """6, 6.0 or 1e+05. Raises ValueError for all else, also for what may be a thousand or a one."""
    if not _WHOLE.fullmatch(text) or len(text) > 40:
        raise ValueError(text)
    value = Decimal(text.replace(",", "."))
    if value != value.to_integral_value() or value >= 10**MOST_DIGITS:
        raise ValueError(text)
    return int(value)


def number(text: str) -> float:
    """A finite number, with a point or a comma before its decimals. Raises ValueError."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text.replace(",", "."))


def truth(text: str) -> bool:
    """True or False, TRUE, 1, or what spreadsheets of other languages write. Raises ValueError."""
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE
