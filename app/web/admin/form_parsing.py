"""Whole numbers that people type into forms."""


def whole_number(text: str, *, most: int, least: int = 1) -> int | None:
    """The number, if it is one within these bounds. Too many digits are not even read: Python refuses 4,300 of them."""
    digits = text.strip()
    significant = digits.lstrip("0")
    if not (digits.isascii() and digits.isdecimal()) or len(significant) > len(str(most)):
        return None
    number = int(significant or "0")
    return number if least <= number <= most else None
