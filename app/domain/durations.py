"""Lengths of time in words."""


def duration(minutes: float) -> str:
    """Minutes as people say them: 40 s, 12 min, 3.5 h, 2.1 days."""
    if minutes < 1.5:
        return f"{minutes * 60:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 36 * 60 else f"{minutes / 1440:.1f} days"
