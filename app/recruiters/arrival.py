"""What every recruiter says of a person who arrives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arrival:
    """`participant` is the person as the recruiter knows them, `submission` this sitting of theirs.

    Both are recruiter ids: they go to `identities` and nowhere else.
    """

    recruiter: str
    participant: str
    submission: str
