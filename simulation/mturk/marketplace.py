"""An MTurk of our own: HITs, workers and money, as its API description and its guides tell them."""

import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

WORKING = ("ACTIVE",)
HOLDS_A_PLACE = ("ACTIVE", "AWAITING REVIEW", "APPROVED", "REJECTED")


class MturkError(Exception):
    """What the API answers with a RequestError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = f"AWS.MechanicalTurk.{code}"


@dataclass
class FakeHitType:
    id: str
    fields: dict[str, Any]

    @property
    def reward(self) -> int:
        return int(Decimal(self.fields["Reward"]) * 100)

    @property
    def barring(self) -> list[str]:
        return [entry["QualificationTypeId"] for entry in self.fields.get("QualificationRequirements", [])]


@dataclass
class FakeHit:
    id: str
    type: FakeHitType
    question: str
    annotation: str
    places: int
    expires: float
    created: float


@dataclass
class FakeWork:
    """One worker's assignment. `status` in the words that all our marketplaces share."""

    assignment: str
    participant: str
    hit: FakeHit
    accepted: float
    submitted: float | None = None
    code: str | None = None
    status: str = "ACTIVE"
    bonuses: list[int] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.assignment}:{self.participant}"

    @property
    def study(self) -> str:
        return self.hit.type.id


def now() -> float:
    return datetime.now(UTC).timestamp()


def new_id() -> str:
    return f"3{secrets.token_hex(14).upper()}"


class MturkMarketplace:
    """Bills every payment for itself: 20 %, at least one cent. `studies` are HIT types, `submissions` all work."""

    def __init__(self, *, funds: int = 10_000_000) -> None:
        self.lock = threading.RLock()
        self.studies: dict[str, FakeHitType] = {}
        self.hits: dict[str, FakeHit] = {}
        self.submissions: dict[str, FakeWork] = {}
        self.qualifications: dict[str, str] = {}
        self.holders: set[tuple[str, str]] = set()
        self.tokens: set[str] = set()
        self._funds = funds

    # --- workers --------------------------------------------------------------------------------------------------

    def take_place(self, study_id: str, participant: str | None = None) -> FakeWork | None:
        """A worker accepts a HIT of the type; None if there is none for them."""
        with self.lock:
            worker = participant or f"A{secrets.token_hex(7).upper()}"
            if any((qualification, worker) in self.holders for qualification in self.studies[study_id].barring):
                return None
            for hit in self.hits.values():
                been_here = any(one.hit is hit and one.participant == worker for one in self.submissions.values())
                if hit.type.id == study_id and hit.expires > now() and self.available(hit) and not been_here:
                    work = FakeWork(new_id(), worker, hit, accepted=now())
                    self.submissions[work.id] = work
                    return work
            return None

    def submit(self, submission_id: str, code: str | None) -> None:
        with self.lock:
            work = self.submissions[submission_id]
            if work.status == "ACTIVE":
                work.status, work.code, work.submitted = "AWAITING REVIEW", code, now()

    def end(self, submission_id: str, status: str) -> None:
        """RETURNED by the worker, or TIMED-OUT; what was handed in cannot be returned."""
        with self.lock:
            if self.submissions[submission_id].status == "ACTIVE":
                self.submissions[submission_id].status = status

    # --- requesters -----------------------------------------------------------------------------------------------

    def add_hit(self, type_id: str, *, question: str, annotation: str, places: int, lifetime: int) -> FakeHit:
        kind = self.studies.get(type_id)
        if kind is None:
            raise MturkError("HITTypeDoesNotExist", "There is no such HIT type.")
        self._require_funds(places * kind.reward)
        hit = FakeHit(new_id(), kind, question, annotation, places, expires=now() + lifetime, created=now())
        self.hits[hit.id] = hit
        return hit

    def decide(self, assignment: str, status: str) -> None:
        work = self.work(assignment)
        if work.status != "AWAITING REVIEW":
            raise MturkError("InvalidAssignmentState", "This operation can be called with a status of: Submitted")
        if status == "APPROVED":
            self._require_funds(work.hit.type.reward)
        work.status = status

    def pay_bonus(self, assignment: str, worker: str, amount: int) -> None:
        work = self.work(assignment)
        if work.participant != worker or work.status not in ("APPROVED", "REJECTED", "AWAITING REVIEW"):
            raise MturkError("InvalidAssignmentState", "That worker has not handed in this assignment.")
        self._require_funds(amount)
        work.bonuses.append(amount)

    def work(self, assignment: str) -> FakeWork:
        found = [one for one in self.submissions.values() if one.assignment == assignment]
        if not found or found[0].status not in ("AWAITING REVIEW", "APPROVED", "REJECTED"):
            raise MturkError("AssignmentDoesNotExist", f"Assignment {assignment} does not exist.")
        return found[0]

    def count(self, hit: FakeHit, *statuses: str) -> int:
        return sum(one.hit is hit and one.status in statuses for one in self.submissions.values())

    def available(self, hit: FakeHit) -> int:
        return hit.places - self.count(hit, *HOLDS_A_PLACE)

    # --- money ----------------------------------------------------------------------------------------------------

    def charged(self, study_id: str) -> int:
        theirs = [one for one in self.submissions.values() if one.study == study_id]
        rewards = [one.hit.type.reward for one in theirs if one.status == "APPROVED"]
        return sum(map(_bill, rewards + [bonus for one in theirs for bonus in one.bonuses]))

    @property
    def balance(self) -> int:
        return self._funds - sum(map(self.charged, self.studies))

    def _require_funds(self, pay: int) -> None:
        if _bill(pay) > self.balance:
            raise MturkError("InsufficientFunds", "This account does not have the funds for that.")


def _bill(amount: int) -> int:
    return amount + max(1, int((amount * Decimal("0.2")).to_integral_value(ROUND_HALF_UP)))
