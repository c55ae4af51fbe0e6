"""A Prolific of our own: studies, submissions and money, as its API description and its guides tell them.

It is strict where Prolific is: who may do what in which state, which fields may change after publishing, what is an
error. Participants take places, submit codes, return or time out through its methods; researchers come over HTTP
(`server.py`).
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from math import sqrt
from typing import Any

from simulation.prolific.hooks import Hooks
from simulation.prolific.signing import LinkSigner

PLACE_TAKERS = ("RESERVED", "ACTIVE", "AWAITING REVIEW", "APPROVED", "REJECTED", "SCREENED OUT", "PROCESSING")
CHANGEABLE = {"internal_name", "total_available_places", "submissions_config"}
TRANSITIONS = {
    ("UNPUBLISHED", "PUBLISH"): "ACTIVE",
    ("ACTIVE", "PAUSE"): "PAUSED",
    ("ACTIVE", "STOP"): "COMPLETED",
    ("PAUSED", "START"): "ACTIVE",
    ("PAUSED", "STOP"): "COMPLETED",
}


class ProlificError(Exception):
    """What the API answers with a 4xx."""

    def __init__(self, status: int, detail: Any, title: str = "Error") -> None:
        super().__init__(str(detail))
        self.status = status
        self.body = {"error": {"status": status, "error_code": 140_000 + status, "title": title, "detail": detail}}


@dataclass
class FakeStudy:
    id: str
    fields: dict[str, Any]
    status: str = "UNPUBLISHED"
    is_stopped: bool = False

    @property
    def places(self) -> int:
        return int(self.fields["total_available_places"])

    @property
    def reward(self) -> int:
        return int(self.fields["reward"])


@dataclass
class FakeSubmission:
    id: str
    study: str
    participant: str
    started_at: str
    status: str = "ACTIVE"
    completed_at: str | None = None
    code: str | None = None
    return_requested: str | None = None
    bonuses: list[int] = field(default_factory=list)


@dataclass
class FakeBulkBonus:
    id: str
    study: str
    amounts: dict[str, int]
    times_paid: int = 0


def _new_id() -> str:
    return secrets.token_hex(12)


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class Marketplace:
    """`rate` and `vat` as in `domain/money.py`; but this one bills a study as a whole, rounding half up.

    `on_event(kind, resource, participant, status)` hears of every change of a status.
    """

    def __init__(
        self,
        *,
        funds: int = 10_000_000,
        rate: str = "0.428",
        vat: str = "0.20",
        currency: str = "GBP",
        workspace: str = "5f0000000000000000000001",
    ) -> None:
        self.lock = threading.RLock()
        self.workspace = workspace
        self.currency = currency
        self.signer = LinkSigner(workspace)
        self.hooks = Hooks()
        self.studies: dict[str, FakeStudy] = {}
        self.submissions: dict[str, FakeSubmission] = {}
        self.bulk_bonuses: dict[str, FakeBulkBonus] = {}
        self.on_event: Callable[[str, str, str, str], None] = lambda *_: None
        self._funds = funds
        self._rate, self._vat = Decimal(rate), Decimal(vat)
        self._approving: list[str] = []

    # --- participants ---------------------------------------------------------------------------------------------

    def take_place(self, study_id: str, participant: str | None = None) -> FakeSubmission | None:
        """A participant reserves a place and begins; None if there is none, or they have been here."""
        with self.lock:
            study = self.studies[study_id]
            participant = participant or _new_id()
            if study.status != "ACTIVE" or self._taken(study) >= study.places or self._is_excluded(study, participant):
                return None
            submission = FakeSubmission(_new_id(), study.id, participant, started_at=_now())
            self.submissions[submission.id] = submission
            self._changed(submission)
            return submission

    def link(self, submission: FakeSubmission) -> str:
        """Where the participant is sent."""
        study = self.studies[submission.study]
        values = {"PROLIFIC_PID": submission.participant, "STUDY_ID": study.id, "SESSION_ID": submission.id}
        url = str(study.fields["external_study_url"])
        for name, value in values.items():
            url = url.replace("{{%" + name + "%}}", value)
        return self.signer.sign(url) if study.fields.get("is_external_study_url_secure") else url

    def submit(self, submission_id: str, code: str | None) -> None:
        """The participant comes back with a code, or with none."""
        with self.lock:
            submission = self.submissions[submission_id]
            if submission.status != "ACTIVE":
                return
            submission.status, submission.code, submission.completed_at = "AWAITING REVIEW", code, _now()
            known = {
                entry["code"]: entry["actions"] for entry in self.studies[submission.study].fields["completion_codes"]
            }
            for action in known.get(code, []):
                if action["action"] == "REQUEST_RETURN":
                    submission.return_requested = _now()
                if action["action"] == "AUTOMATICALLY_APPROVE":
                    self._approve(submission)
            self._changed(submission)

    def end(self, submission_id: str, status: str) -> None:
        """RETURNED by the participant, or TIMED-OUT by the clock."""
        with self.lock:
            submission = self.submissions[submission_id]
            if submission.status in ("RESERVED", "ACTIVE") or (
                status == "RETURNED" and submission.status == "AWAITING REVIEW"
            ):
                submission.status = status
                self._changed(submission)

    def _is_excluded(self, study: FakeStudy, participant: str) -> bool:
        elsewhere = {
            submission.study for submission in self.submissions.values() if submission.participant == participant
        }
        blocked = {
            value
            for entry in study.fields.get("filters") or []
            if entry["filter_id"] == "previous_studies_blocklist"
            for value in entry["selected_values"]
        }
        return study.id in elsewhere or bool(blocked & elsewhere)

    # --- researchers ----------------------------------------------------------------------------------------------

    def create_study(self, fields: dict[str, Any]) -> FakeStudy:
        for name in ("name", "description", "external_study_url", "total_available_places", "reward"):
            if name not in fields:
                raise ProlificError(400, {name: ["This field is required."]})
        codes = [entry.get("code") for entry in fields.get("completion_codes") or []]
        if not codes or len(set(codes)) != len(codes):
            raise ProlificError(400, {"completion_codes": ["At least one, and each must be unique."]})
        minutes = float(fields["estimated_completion_time"])
        if float(fields.get("maximum_allowed_time", 1e9)) < 2 + 2 * minutes + 2 * sqrt(minutes):
            raise ProlificError(400, {"maximum_allowed_time": ["Participants need more time than that."]})
        study = FakeStudy(_new_id(), dict(fields))
        self.studies[study.id] = study
        return study

    def change_study(self, study: FakeStudy, changes: dict[str, Any]) -> FakeStudy:
        if study.status != "UNPUBLISHED":
            frozen = set(changes) - CHANGEABLE
            if frozen:
                raise ProlificError(400, {name: ["Cannot be changed once published."] for name in sorted(frozen)})
            more = int(changes.get("total_available_places", study.places)) - study.places
            if more < 0:
                raise ProlificError(400, {"total_available_places": ["Only increasing is allowed."]})
            self._require_funds(more * study.reward)
            if more and study.status in ("AWAITING REVIEW", "COMPLETED"):
                study.status, study.is_stopped = "ACTIVE", False
                self.on_event("study.status.change", study.id, "", study.status)
        study.fields.update(changes)
        self._refresh(study)
        return study

    def transition(self, study: FakeStudy, action: str) -> FakeStudy:
        following = TRANSITIONS.get((study.status, action))
        if following is None:
            raise ProlificError(400, f"A study that is {study.status} cannot {action}.")
        if action == "PUBLISH":
            self._require_funds(study.places * study.reward)
        study.status, study.is_stopped = following, action == "STOP"
        self.on_event("study.status.change", study.id, "", study.status)
        self._refresh(study)
        return study

    def approve_later(self, ids: list[str]) -> None:
        """Bulk approval is asynchronous: it happens before the next request, and skips what does not await review."""
        unknown = [one for one in ids if one not in self.submissions]
        if unknown:
            raise ProlificError(400, [f"Unknown submission {one}" for one in unknown])
        self._approving += ids

    def work_off(self) -> None:
        """What Prolific does in its own time."""
        waiting, self._approving = self._approving, []
        for submission in (self.submissions[one] for one in waiting):
            if submission.status == "AWAITING REVIEW":
                self._approve(submission)
                self._changed(submission)

    def decide(self, submission: FakeSubmission, body: dict[str, Any]) -> None:
        """APPROVE and REJECT; both idempotent."""
        action = body["action"]
        if action == "APPROVE" and submission.status in ("AWAITING REVIEW", "APPROVED"):
            self._approve(submission)
        elif action == "REJECT" and submission.status in ("AWAITING REVIEW", "REJECTED"):
            if len(body.get("message", "")) < 100 or "rejection_category" not in body:
                raise ProlificError(400, "A rejection needs a category and a message of at least 100 characters.")
            submission.status = "REJECTED"
        else:
            raise ProlificError(400, f"A submission that is {submission.status} cannot {action}.")
        self._changed(submission)

    def set_up_bonuses(self, study_id: str, rows: str) -> FakeBulkBonus:
        """`submission,4.25` a line: decimal major units."""
        amounts: dict[str, int] = {}
        for row in filter(None, rows.split("\n")):
            name, _, amount = row.partition(",")
            submission = self.submissions.get(name)
            if submission is None or submission.study != study_id or submission.status != "APPROVED":
                raise ProlificError(400, [f"{name} has not taken part in this study"])
            amounts[name] = int(Decimal(amount) * 100)
        if not amounts or min(amounts.values()) <= 0:
            raise ProlificError(400, "No bonuses.")
        bulk = FakeBulkBonus(_new_id(), study_id, amounts)
        self.bulk_bonuses[bulk.id] = bulk
        return bulk

    def pay_bonuses(self, bulk: FakeBulkBonus) -> None:
        """Not idempotent: every call pays."""
        self._require_funds(sum(bulk.amounts.values()))
        bulk.times_paid += 1
        for submission, amount in bulk.amounts.items():
            self.submissions[submission].bonuses.append(amount)

    # --- money ----------------------------------------------------------------------------------------------------

    def bill(self, amount: int) -> dict[str, int]:
        """Fee and tax on an amount, each rounded half up on the whole."""
        fees = _rounded(amount * self._rate)
        return {"rewards": amount, "fees": fees, "tax": _rounded(fees * self._vat)}

    def rewards_bill(self, study: FakeStudy) -> dict[str, int]:
        approved = [s for s in self.submissions.values() if s.study == study.id and s.status == "APPROVED"]
        return self.bill(len(approved) * study.reward)

    def bonuses_charged(self, study_id: str) -> int:
        paid = (bulk for bulk in self.bulk_bonuses.values() if bulk.study == study_id)
        return sum(bulk.times_paid * sum(self.bill(sum(bulk.amounts.values())).values()) for bulk in paid)

    def charged(self, study_id: str) -> int:
        """Everything charged for a study: rewards and bonuses with fees and tax."""
        return sum(self.rewards_bill(self.studies[study_id]).values()) + self.bonuses_charged(study_id)

    @property
    def balance(self) -> int:
        return self._funds - sum(self.charged(study) for study in self.studies)

    def _require_funds(self, pay: int) -> None:
        if sum(self.bill(pay).values()) > self.balance:
            raise ProlificError(400, "Not enough funds in the workspace.")

    # --- what follows from a change -------------------------------------------------------------------------------

    def _approve(self, submission: FakeSubmission) -> None:
        submission.status = "APPROVED"

    def _changed(self, submission: FakeSubmission) -> None:
        self.on_event("submission.status.change", submission.id, submission.participant, submission.status)
        self._refresh(self.studies[submission.study])

    def _taken(self, study: FakeStudy) -> int:
        return sum(s.study == study.id and s.status in PLACE_TAKERS for s in self.submissions.values())

    def _refresh(self, study: FakeStudy) -> None:
        """A study without free places ends by itself; a place that comes free again reopens it."""
        if study.is_stopped or study.status in ("UNPUBLISHED", "PAUSED"):
            return
        statuses = [s.status for s in self.submissions.values() if s.study == study.id]
        before = study.status
        if self._taken(study) < study.places or "ACTIVE" in statuses or "RESERVED" in statuses:
            study.status = "ACTIVE"
        else:
            study.status = "AWAITING REVIEW" if "AWAITING REVIEW" in statuses else "COMPLETED"
        if study.status != before:
            self.on_event("study.status.change", study.id, "", study.status)


def _rounded(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_HALF_UP))
