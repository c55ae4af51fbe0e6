"""Numbers with what they are numbers of."""


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """`1 vote`, `1,200 votes`; a fraction is rounded. `plural` where it is not the noun with an s."""
    whole = round(number)
    return f"{whole:,} {noun if whole == 1 else plural or f'{noun}s'}"
