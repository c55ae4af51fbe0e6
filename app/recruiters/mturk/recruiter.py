"""MTurk as a recruiter: its protocol (botocore's model of 2017-01-17), for compatible services and old studies.

Amazon closed MTurk on 30 September 2026: nobody can be recruited there any more.

A study there is a HIT type, and its places are HITs of at most nine assignments, since ten and more cost a second fee.
A HIT lets a worker in once, a HIT type does not: whoever was approved gets a qualification that bars them from more.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from app.domain.money import Fees, cost
from app.recruiters.mturk.api import Api
from app.recruiters.mturk.entry import NAME, submission_of
from app.recruiters.recruiter import (
    APPROVED,
    AWAITING_REVIEW,
    REJECTED,
    BonusQuote,
    NothingHappened,
    OutcomeUnclear,
    Refused,
    RemoteStudy,
    RemoteSubmission,
    StudyDraft,
)

LARGEST_HIT = 9
MOST_REQUIREMENTS = 10
"""Of a HIT type; whoever was in still earlier rounds is let in again, and sees no item twice here all the same."""
OFFERED_FOR = timedelta(days=90)
LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
THANKS = "Thank you for taking part."
_QUESTION = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd"
_FRAME_HEIGHT = 0  # as high as the window
_STATUSES = {"Submitted": AWAITING_REVIEW, "Approved": APPROVED, "Rejected": REJECTED}

Told = dict[str, Any]


class Mturk:
    name = NAME
    lists_work_in_progress = False

    def __init__(self, api: Api, *, fees: Fees) -> None:
        self._api = api
        self._fees = fees
        self._quotes: dict[str, tuple[str, int]] = {}

    def currency(self) -> str:
        self._api.call("get_account_balance")
        return "USD"

    def create_study(self, draft: StudyDraft) -> str:
        """MTurk has no drafts: its places are open at once. Made twice it is the same study."""
        barring = [self._own_qualification(draft.reference)]
        barring += [draft.excluded_group] if draft.excluded_group else []
        latest = draft.excluded_studies[len(barring) - MOST_REQUIREMENTS :]
        barring += [_qualification(self._hits(study)[0]) for study in latest]
        hit_type = self._api.call(
            "create_hit_type",
            Title=draft.name,
            Description=draft.description,
            Keywords=f"images, similarity, {draft.reference}",
            Reward=_dollars(draft.reward),
            AssignmentDurationInSeconds=draft.maximum_minutes * 60,
            QualificationRequirements=[
                {
                    "QualificationTypeId": qualification,
                    "Comparator": "DoesNotExist",
                    "ActionsGuarded": "DiscoverPreviewAndAccept",
                }
                for qualification in barring
            ],
        )["HITTypeId"]
        self._open_places(hit_type, draft.reference, _external_question(draft.url), have=0, want=draft.places)
        return str(hit_type)

    def find_study(self, reference: str, *, project: str) -> str | None:  # noqa: ARG002
        found = (hit for hit in self._all_hits() if hit.get("RequesterAnnotation") == reference)
        return next((str(hit["HITTypeId"]) for hit in found), None)

    def study(self, study_id: str) -> RemoteStudy:
        hits = self._hits(study_id)
        unfilled = [
            hit
            for hit in hits
            if hit["MaxAssignments"] > hit["NumberOfAssignmentsPending"] + hit["NumberOfAssignmentsCompleted"]
        ]
        offered = any(hit["Expiration"] > datetime.now(UTC) for hit in unfilled)
        return RemoteStudy(
            id=study_id,
            state="open" if offered else "paused" if unfilled else "ended",
            places=sum(hit["MaxAssignments"] for hit in hits),
            reward=int(Decimal(hits[0]["Reward"]) * 100),
            url=_url(hits[0]["Question"]),
            unlisted=sum(hit["NumberOfAssignmentsPending"] for hit in hits),
        )

    def publish(self, study_id: str) -> None:
        """It is, from its creation on."""

    def pause(self, study_id: str) -> None:
        """Whoever has accepted may finish."""
        self._expire(study_id, at=LONG_AGO)

    def resume(self, study_id: str) -> None:
        self._expire(study_id, at=datetime.now(UTC) + OFFERED_FOR)

    def stop(self, study_id: str) -> None:
        self._expire(study_id, at=LONG_AGO)

    def _expire(self, study_id: str, *, at: datetime) -> None:
        for hit in self._hits(study_id):
            self._api.call("update_expiration_for_hit", HITId=hit["HITId"], ExpireAt=at)

    def set_places(self, study_id: str, places: int) -> None:
        hits = self._hits(study_id)
        have = sum(hit["MaxAssignments"] for hit in hits)
        self._open_places(study_id, hits[0]["RequesterAnnotation"], hits[0]["Question"], have=have, want=places)
        self.resume(study_id)

    def _open_places(self, hit_type: str, reference: str, question: str, *, have: int, want: int) -> None:
        """A HIT's token is made of what comes before it, so that its repeat, by whomever, makes no second one."""
        while have < want:
            places = min(LARGEST_HIT, want - have)
            try:
                self._api.call(
                    "create_hit_with_hit_type",
                    HITTypeId=hit_type,
                    MaxAssignments=places,
                    LifetimeInSeconds=int(OFFERED_FOR.total_seconds()),
                    Question=question,
                    RequesterAnnotation=reference,
                    UniqueRequestToken=hashlib.sha256(f"{reference} {have}".encode()).hexdigest(),
                )
            except Refused as error:
                if not error.details.get("code", "").endswith("HitAlreadyExists"):
                    raise
            have += places

    def submissions(self, study_id: str) -> list[RemoteSubmission]:
        """Those handed in; MTurk does not list who is at work."""
        return [
            _submission(told)
            for hit in self._hits(study_id)
            for told in self._api.pages("list_assignments_for_hit", "Assignments", HITId=hit["HITId"])
        ]

    def approve(self, submission_ids: Sequence[str]) -> None:
        for submission in submission_ids:
            told = self._assignment(submission)
            if told["Assignment"]["AssignmentStatus"] == "Approved":
                continue
            self._api.call(
                "associate_qualification_with_worker",
                QualificationTypeId=_qualification(told["HIT"]),
                WorkerId=told["Assignment"]["WorkerId"],
                SendNotification=False,
            )
            self._decide("approve_assignment", AssignmentId=told["Assignment"]["AssignmentId"])

    def reject(self, submission_id: str, *, category: str, message: str) -> None:  # noqa: ARG002 - MTurk has none
        assignment = submission_id.partition(":")[0]
        self._decide("reject_assignment", AssignmentId=assignment, RequesterFeedback=message)

    def _decide(self, operation: str, **given: str) -> None:
        try:
            self._api.call(operation, **given)
        except Refused as error:
            if not error.details.get("lost"):  # else it is decided, and the next look says how
                raise

    def request_return(self, submission_id: str, *, reason: str) -> None:  # noqa: ARG002
        raise Refused("MTurk cannot ask for a submission's return. Approve or reject it.")

    def quote_bonuses(self, study_id: str, amounts: Mapping[str, int]) -> BonusQuote:  # noqa: ARG002
        """Of one bonus, so that it is paid or not, and never half of it. MTurk itself hears of it when it is paid."""
        ((submission, amount),) = amounts.items()
        quote = uuid4().hex
        self._quotes[quote] = submission, amount
        return BonusQuote(quote, amount=amount, total=cost(amount, self._fees).total)

    def pay_bonuses(self, quote_id: str) -> None:
        submission, amount = self._quotes.pop(quote_id)
        assignment, _, worker = submission.partition(":")
        try:
            self._api.call(
                "send_bonus",
                WorkerId=worker,
                AssignmentId=assignment,
                BonusAmount=_dollars(amount),
                Reason=THANKS,
                UniqueRequestToken=quote_id,
            )
        except Refused as error:
            if error.details.get("lost"):
                raise OutcomeUnclear(f"{error.details['lost']} Then: {error.message}") from error
            raise

    def charged(self, study_id: str) -> int:
        """MTurk bills per assignment and tells no sum: what its fees make of those approved."""
        approved = sum(submission.status == APPROVED for submission in self.submissions(study_id))
        return approved * cost(self.study(study_id).reward, self._fees).total

    # --- HITs and qualifications ----------------------------------------------------------------------------------

    def _all_hits(self) -> list[Told]:
        return list(self._api.pages("list_hits", "HITs"))

    def _hits(self, study_id: str) -> list[Told]:
        """A study's HITs, oldest first."""
        hits = [hit for hit in self._all_hits() if hit["HITTypeId"] == study_id]
        if not hits:
            raise NothingHappened(f"MTurk lists no HIT of the type {study_id}.")
        return sorted(hits, key=lambda hit: (hit["CreationTime"], hit["HITId"]))

    def _assignment(self, submission_id: str) -> Told:
        return self._api.call("get_assignment", AssignmentId=submission_id.partition(":")[0])

    def _own_qualification(self, reference: str) -> str:
        """What a study's people get. Its name can be had once: if it exists, it is ours."""
        name = f"Took part in {reference}"
        try:
            made = self._api.call(
                "create_qualification_type",
                Name=name,
                Description="You have taken part in this study.",
                QualificationTypeStatus="Active",
            )
            return str(made["QualificationType"]["QualificationTypeId"])
        except Refused as error:
            if not error.details.get("code", "").endswith("QualificationTypeAlreadyExists"):
                raise
        ours = self._api.pages(
            "list_qualification_types",
            "QualificationTypes",
            Query=name,
            MustBeRequestable=False,
            MustBeOwnedByCaller=True,
        )
        return next(str(found["QualificationTypeId"]) for found in ours if found["Name"] == name)


def _qualification(hit: Told) -> str:
    """The study's own is the first that bars from its HITs."""
    return str(hit["QualificationRequirements"][0]["QualificationTypeId"])


def _submission(told: Told) -> RemoteSubmission:
    status = str(told["AssignmentStatus"])
    return RemoteSubmission(
        id=submission_of(told["AssignmentId"], told["WorkerId"]),
        participant=told["WorkerId"],
        status=_STATUSES.get(status, status),
        started_at=told.get("AcceptTime"),
        ended_at=told.get("SubmitTime"),
    )


def _dollars(cents: int) -> str:
    return f"{Decimal(cents) / 100:.2f}"


def _external_question(url: str) -> str:
    return (
        f'<ExternalQuestion xmlns="{_QUESTION}"><ExternalURL>{escape(url)}</ExternalURL>'
        f"<FrameHeight>{_FRAME_HEIGHT}</FrameHeight></ExternalQuestion>"
    )


def _url(question: str) -> str:
    """Where a HIT sends people; nowhere of ours if it is another kind of question."""
    try:
        return ElementTree.fromstring(question).findtext(f"{{{_QUESTION}}}ExternalURL") or ""  # noqa: S314 - our own
    except ElementTree.ParseError:
        return ""
