"""What every recruiter says of a person who arrives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arrival:
    """`participant` is the person as the recruiter knows them, `submission` this sitting of theirs.

    Both are recruiter ids: they go to `identities` and nowhere else. `study` is the recruiter's study they come from,
    where it says so; `submit_to` where it wants the form at the end; `link` the hash of a signed link that brought
    them, and `page` the opening of it, so that no link is used twice.
    """

    recruiter: str
    participant: str
    submission: str
    study: str | None = None
    submit_to: str | None = None
    link: bytes | None = None
    page: str = ""
