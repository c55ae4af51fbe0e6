"""Prolific as a recruiter: its words for ours, over its public API (docs.prolific.com, read August 2026)."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil
from typing import Any

from app.errors import BadInput
from app.recruiters.prolific import schemas
from app.recruiters.prolific.api import Api
from app.recruiters.recruiter import (
    BonusQuote,
    OutcomeUnclear,
    RemoteStudy,
    RemoteSubmission,
    Review,
    StudyDraft,
    StudyState,
)

NAME = "prolific"
LINK_PARAMETERS = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
APPROVALS_AT_ONCE = 1000
REVIEW = Review(
    grounds=(
        "TOO_QUICKLY", "TOO_SLOWLY", "FAILED_INSTRUCTIONS", "INCOMP_LONGITUDINAL", "FAILED_CHECK", "LOW_EFFORT",
        "MALINGERING", "NO_CODE", "BAD_CODE", "NO_DATA", "UNSUPP_DEVICE", "OTHER",
    ),
    shortest_message=100,
    can_ask_for_return=True,
)  # fmt: skip

_STATES: dict[str, StudyState] = {
    "UNPUBLISHED": "draft",
    "SCHEDULED": "draft",
    "PUBLISHING": "open",
    "ACTIVE": "open",
    "PAUSED": "paused",
    "AWAITING REVIEW": "ended",
    "COMPLETED": "ended",
}
_RETURN = {
    "no_consent": "You did not agree to take part, so there is nothing to be paid. Please return your submission.",
    "screened_out": "You did not take part to the end, so nothing is to be paid. Please return your submission.",
}
_LINK_QUERY = "&".join(f"{name}={{{{%{name}%}}}}" for name in LINK_PARAMETERS)  # filled in by Prolific
_CODE_TYPES = {
    "completed": "COMPLETED",
    "no_consent": "NO_CONSENT",
    "screened_out": "SCREENED_OUT",
    "failed_checks": "FAILED_ATTENTION_CHECK",
}


class Prolific:
    name = NAME
    lists_work_in_progress = True

    def __init__(self, api: Api, *, workspace: str) -> None:
        self._api = api
        self._workspace = workspace

    def currency(self) -> str:
        balance = self._api.get(f"/api/v1/workspaces/{self._workspace}/balance/")
        return schemas.read(schemas.Balance, balance).currency_code

    def create_study(self, draft: StudyDraft) -> str:
        created = self._api.send("POST", "/api/v1/studies/", _as_study(draft), repeatable=False)
        return schemas.read(schemas.Made, created, otherwise=OutcomeUnclear).id

    def find_study(self, reference: str, *, project: str) -> str | None:
        if project:
            listed = self._api.pages(f"/api/v1/projects/{project}/studies/")
            studies = [schemas.read(schemas.ListedStudy, study) for study in listed]
        else:
            studies = schemas.read(schemas.Studies, self._api.get("/api/v1/studies/")).results
        return next((study.id for study in studies if study.internal_name == reference), None)

    def study(self, study_id: str) -> RemoteStudy:
        study = schemas.read(schemas.Study, self._api.get(f"/api/v1/studies/{study_id}/"))
        return RemoteStudy(
            id=study.id,
            state=_STATES.get(study.status, "unknown"),
            places=study.total_available_places,
            reward=study.reward,
            url=study.external_study_url,
        )

    def publish(self, study_id: str) -> None:
        self._transition(study_id, "PUBLISH")

    def pause(self, study_id: str) -> None:
        self._transition(study_id, "PAUSE")

    def resume(self, study_id: str) -> None:
        self._transition(study_id, "START")

    def stop(self, study_id: str) -> None:
        self._transition(study_id, "STOP")

    def _transition(self, study_id: str, action: str) -> None:
        """Tried once: Prolific refuses a transition that has happened already, and the next look tells."""
        path = f"/api/v1/studies/{study_id}/transition/"
        self._api.send("POST", path, {"action": action}, repeatable=False)

    def set_places(self, study_id: str, places: int) -> None:
        self._api.send("PATCH", f"/api/v1/studies/{study_id}/", {"total_available_places": places})

    def submissions(self, study_id: str) -> list[RemoteSubmission]:
        """In order of their beginning, so that one who comes while we turn pages comes on the last."""
        listed = self._api.pages("/api/v1/submissions/", study=study_id, ordering="started_at")
        return list({submission.id: submission for submission in map(_submission, listed)}.values())

    def approve(self, submission_ids: Sequence[str]) -> None:
        """Asked for; Prolific approves in its own time, and a repeat changes nothing."""
        for start in range(0, len(submission_ids), APPROVALS_AT_ONCE):
            ids = list(submission_ids[start : start + APPROVALS_AT_ONCE])
            self._api.send("POST", "/api/v1/submissions/bulk-approve/", {"submission_ids": ids})

    def reject(self, submission_id: str, *, category: str, message: str) -> None:
        if category not in REVIEW.grounds:
            raise BadInput(f"{category!r} is no category of Prolific's: {', '.join(REVIEW.grounds)}.")
        if len(message) < REVIEW.shortest_message:
            raise BadInput(f"Prolific wants a message of at least {REVIEW.shortest_message} characters.")
        body = {"action": "REJECT", "rejection_category": category, "message": message}
        self._api.send("POST", f"/api/v1/submissions/{submission_id}/transition/", body)

    def request_return(self, submission_id: str, *, reason: str) -> None:
        path = f"/api/v1/submissions/{submission_id}/request-return/"
        self._api.send("POST", path, {"request_return_reasons": [reason]})

    def quote_bonuses(self, study_id: str, amounts: Mapping[str, int]) -> BonusQuote:
        """Sets bonuses up and pays nothing. The amounts that Prolific reads are decimal, those it answers minor units:
        whoever pays compares the two."""
        rows = "".join(f"{submission},{Decimal(amount) / 100:.2f}\n" for submission, amount in amounts.items())
        body = {"study_id": study_id, "csv_bonuses": rows}
        quote = schemas.read(schemas.BulkBonus, self._api.send("POST", "/api/v1/submissions/bonus-payments/", body))
        return BonusQuote(quote.id, amount=quote.amount, total=ceil(quote.total_amount))

    def pay_bonuses(self, quote_id: str) -> None:
        """Never repeated: every call pays."""
        self._api.send("POST", f"/api/v1/bulk-bonus-payments/{quote_id}/pay/", {}, repeatable=False)

    def charged(self, study_id: str) -> int:
        return ceil(schemas.read(schemas.Cost, self._api.get(f"/api/v1/studies/{study_id}/cost/")).rewards.total)


def _as_study(draft: StudyDraft) -> dict[str, Any]:
    study: dict[str, Any] = {
        "name": draft.name,
        "internal_name": draft.reference,
        "description": draft.description,
        "external_study_url": f"{draft.url}?{_LINK_QUERY}",
        "prolific_id_option": "url_parameters",
        "completion_codes": [_code(kind, code) for kind, code in draft.codes.items()],
        "total_available_places": draft.places,
        "estimated_completion_time": draft.minutes,
        "maximum_allowed_time": draft.maximum_minutes,
        "reward": draft.reward,
        "device_compatibility": list(draft.devices),
        "filters": _filters(draft),
        "metadata": json.dumps({"lookalike": draft.reference}),
    }
    if draft.project:
        study["project"] = draft.project
    if draft.signed_links:
        study["is_external_study_url_secure"] = True
    return study


def _code(kind: str, code: str) -> dict[str, Any]:
    """Nothing is approved by a code: whoever knows it could have it without having answered."""
    action = {"action": "MANUALLY_REVIEW"}
    if kind in _RETURN:
        action = {"action": "REQUEST_RETURN", "return_reason": _RETURN[kind]}
    return {"code": code, "code_type": _CODE_TYPES[kind], "actions": [action], "actor": "participant"}


def _filters(draft: StudyDraft) -> list[dict[str, Any]]:
    excluded = []
    if draft.excluded_studies:
        excluded.append({"filter_id": "previous_studies_blocklist", "selected_values": list(draft.excluded_studies)})
    if draft.excluded_group:
        excluded.append({"filter_id": "participant_group_blocklist", "selected_values": [draft.excluded_group]})
    return excluded


def _submission(told: Any) -> RemoteSubmission:
    submission = schemas.read(schemas.Submission, told)
    return RemoteSubmission(
        id=submission.id,
        participant=submission.participant_id,
        status=submission.status,
        started_at=submission.started_at,
        ended_at=submission.completed_at,
    )
