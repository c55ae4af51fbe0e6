"""How long a recruiter is asked again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long the first pause is (seconds; doubled each time, up to a minute)."""

    tries: int = 6
    first_wait_s: float = 1.0


PATIENT = Patience()
