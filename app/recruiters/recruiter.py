"""The one interface to everybody who sends participants, and what its calls tell.

    RecruiterError (Unavailable)    no answer worth trusting
    ├── NothingHappened             certainly not done; the same call may be made again later
    └── OutcomeUnclear              done or not: nobody knows
    Refused (Conflict)              certainly not done, and why

A call that may be repeated is, by the adapter itself, until it has an outcome or patience ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from app.errors import Conflict, Unavailable
from app.recruiters.entry import Arrival


class RecruiterError(Unavailable):
    title = "The recruiter does not answer"


class NothingHappened(RecruiterError):
    pass


class OutcomeUnclear(RecruiterError):
    title = "Nobody knows whether that happened"


class Refused(Conflict):
    title = "The recruiter refused"


CodeKind = Literal["completed", "no_consent", "screened_out", "failed_checks"]
CODE_KINDS: tuple[CodeKind, ...] = ("completed", "no_consent", "screened_out", "failed_checks")

StudyState = Literal["draft", "open", "paused", "ended", "unknown"]
"""`ended`: nobody new gets in, because it was stopped or every place is taken."""

# What submissions can be, in Prolific's words, which are stored as they come; MTurk's are translated into them.
RETURNED, TIMED_OUT, REJECTED, APPROVED = "RETURNED", "TIMED-OUT", "REJECTED", "APPROVED"
AWAITING_REVIEW, SCREENED_OUT = "AWAITING REVIEW", "SCREENED OUT"
FREE_THE_PLACE = (RETURNED, TIMED_OUT)
DECIDED = (RETURNED, TIMED_OUT, REJECTED, APPROVED, SCREENED_OUT, "PARTIALLY APPROVED")


@dataclass(frozen=True)
class StudyDraft:
    """A study as a recruiter should offer it. `reference` is ours, to find it by; `reward` in minor units; `url` where
    it sends people, to which it adds who they are."""

    reference: str
    name: str
    description: str
    url: str
    reward: int
    places: int
    minutes: int
    maximum_minutes: int
    devices: tuple[str, ...]
    codes: Mapping[str, str]
    project: str = ""
    signed_links: bool = False
    excluded_studies: tuple[str, ...] = ()
    excluded_group: str = ""


@dataclass(frozen=True)
class RemoteStudy:
    """`url` is where it sends people; `unlisted` are at work without being among its submissions."""

    id: str
    state: StudyState
    places: int
    reward: int
    url: str
    unlisted: int = 0


@dataclass(frozen=True)
class RemoteSubmission:
    """`status` as the recruiter says it, also if we have never heard of it."""

    id: str
    participant: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class BonusQuote:
    """Bonuses set up but not paid: what participants get, and what is charged in all."""

    id: str
    amount: int
    total: int


@dataclass(frozen=True)
class Review:
    """What a recruiter lets one decide about a submission, other than its approval. `grounds` are its words for why it
    is rejected, one of which it wants; a rejection's message has at least `shortest_message` characters;
    `can_ask_for_return` of a submission, which spares the person a rejection."""

    grounds: tuple[str, ...] = ()
    shortest_message: int = 1
    can_ask_for_return: bool = False


@dataclass(frozen=True)
class Ending:
    """How the participant's page ends: nowhere further, by a link back, or by a form that posts there."""

    kind: Literal["redirect", "form", "thanks"]
    url: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


class Recruiter(Protocol):
    """Amounts are minor units. Every method may raise NothingHappened, Refused, or, where a call cannot be repeated,
    OutcomeUnclear; the next look at the recruiter then tells which, except after `pay_bonuses`.

    `lists_work_in_progress`: somebody who is not among its submissions does not work for it.
    """

    name: str
    lists_work_in_progress: bool

    def currency(self) -> str: ...
    def create_study(self, draft: StudyDraft) -> str: ...
    def find_study(self, reference: str, *, project: str) -> str | None: ...
    def study(self, study_id: str) -> RemoteStudy: ...
    def publish(self, study_id: str) -> None: ...
    def pause(self, study_id: str) -> None: ...
    def resume(self, study_id: str) -> None: ...
    def stop(self, study_id: str) -> None: ...
    def set_places(self, study_id: str, places: int) -> None: ...
    def submissions(self, study_id: str) -> list[RemoteSubmission]: ...
    def approve(self, submission_ids: Sequence[str]) -> None: ...
    def reject(self, submission_id: str, *, category: str, message: str) -> None: ...
    def request_return(self, submission_id: str, *, reason: str) -> None: ...
    def quote_bonuses(self, study_id: str, amounts: Mapping[str, int]) -> BonusQuote: ...
    def pay_bonuses(self, quote_id: str) -> None: ...
    def charged(self, study_id: str) -> int: ...


class Door(Protocol):
    """Who is it that arrives? The participant's side of a recruiter; it needs no rights there."""

    def identify(self, fields: Mapping[str, str]) -> Arrival:
        """Raises BadInput where a parameter is missing or malformed, Forbidden where a signature does not hold."""
        ...

    def handed_on(self, fields: Mapping[str, str], arrival: Arrival) -> dict[str, str]:
        """The fields that the consent form sends back."""
        ...

    def is_preview(self, fields: Mapping[str, str]) -> bool:
        """Whether somebody looks who has not said yet that they take part."""
        ...

    def way_back(self, code: str) -> str | None:
        """Where people go whom we cannot use, with the code that says why."""
        ...

    def ending(self, code: str, *, submission: str | None, submit_to: str | None) -> Ending:
        """Where people go who have completed `submission`."""
        ...
