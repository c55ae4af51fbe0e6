"""Prolific's paths and bodies, over the marketplace."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from simulation.prolific.hooks import EVENT_TYPES
from simulation.prolific.marketplace import FakeBulkBonus, FakeStudy, FakeSubmission, Marketplace, ProlificError

DEFAULT_PAGE, LARGEST_PAGE = 20, 20

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, body and perhaps headers."""
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Call:
    """A request that has found its route; `id` is the one in its path."""

    market: Marketplace
    query: dict[str, str]
    body: Any
    id: str

    @property
    def study(self) -> FakeStudy:
        return self._found(self.market.studies, "Study")

    @property
    def submission(self) -> FakeSubmission:
        return self._found(self.market.submissions, "Submission")

    @property
    def bulk_bonus(self) -> FakeBulkBonus:
        return self._found(self.market.bulk_bonuses, "Bonus")

    def _found(self, things: dict[str, Thing], name: str) -> Thing:
        if self.id not in things:
            raise ProlificError(404, f"{name} not found.")
        return things[self.id]


def route(market: Marketplace, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
    """Raises ProlificError for what Prolific would refuse."""
    for verb, pattern, handler in _ROUTES:
        found = re.fullmatch(pattern, path)
        if verb == method and found:
            return handler(Call(market, query, body, found[1] if found.groups() else ""))
    raise ProlificError(404, "Not found.")


def _told(study: FakeStudy) -> dict[str, Any]:
    return {**study.fields, "id": study.id, "status": study.status}


def _listed(study: FakeStudy) -> dict[str, Any]:
    kept = ("name", "internal_name", "total_available_places", "reward")
    return {name: study.fields.get(name) for name in kept} | {"id": study.id, "status": study.status}


def _detail(submission: FakeSubmission) -> dict[str, Any]:
    return {
        "id": submission.id,
        "participant": submission.participant,
        "study_id": submission.study,
        "status": submission.status,
        "started_at": submission.started_at,
        "completed_at": submission.completed_at,
        "entered_code": submission.code,
        "return_requested": submission.return_requested,
    }


def _short(submission: FakeSubmission) -> dict[str, Any]:
    return {
        "id": submission.id,
        "participant_id": submission.participant,
        "status": submission.status,
        "started_at": submission.started_at,
        "completed_at": submission.completed_at,
        "has_siblings": False,
        "study_code": submission.code,
        "return_requested": submission.return_requested,
    }


def _page(rows: list[dict[str, Any]], query: dict[str, str]) -> Answer:
    size = min(int(query.get("page_size", DEFAULT_PAGE)), LARGEST_PAGE)
    page = int(query.get("page", 1))
    if page > 1 and (page - 1) * size >= len(rows):
        raise ProlificError(404, "Invalid page.")
    return 200, {"results": rows[(page - 1) * size : page * size]}


def _studies(call: Call) -> Answer:
    return 200, {"results": [_listed(study) for study in call.market.studies.values()]}


def _studies_of_project(call: Call) -> Answer:
    found = (study for study in call.market.studies.values() if study.fields.get("project") == call.id)
    return _page([_listed(study) for study in found], call.query)


def _submissions(call: Call) -> Answer:
    if "study" not in call.query:
        raise ProlificError(400, "study is required.")
    found = [one for one in call.market.submissions.values() if one.study == call.query["study"]]
    return _page([_short(one) for one in sorted(found, key=lambda one: one.started_at)], call.query)


def _bulk_approve(call: Call) -> Answer:
    call.market.approve_later(call.body["submission_ids"])
    return 200, "Bulk approve in progress"


def _decide(call: Call) -> Answer:
    call.market.decide(call.submission, call.body)
    return 200, {name: told for name, told in _detail(call.submission).items() if name != "return_requested"}


def _request_return(call: Call) -> Answer:
    call.submission.return_requested = call.submission.started_at
    return 200, {name: _detail(call.submission)[name] for name in ("id", "status", "participant", "return_requested")}


def _set_up_bonuses(call: Call) -> Answer:
    bulk = call.market.set_up_bonuses(call.body["study_id"], call.body["csv_bonuses"])
    bill = call.market.bill(sum(bulk.amounts.values()))
    told = {"id": bulk.id, "study": bulk.study, "amount": bill["rewards"], "fees": bill["fees"], "vat": bill["tax"]}
    return 201, told | {"total_amount": sum(bill.values())}


def _pay_bonuses(call: Call) -> Answer:
    call.market.pay_bonuses(call.bulk_bonus)
    return 202, "Bonuses are being paid"


def _cost(call: Call) -> Answer:
    bill, currency = call.market.rewards_bill(call.study), call.market.currency
    return 200, {
        "rewards": {name: {"amount": amount, "currency": currency} for name, amount in bill.items()},
        "bonuses": {},
    }


def _balance(call: Call) -> Answer:
    if call.id != call.market.workspace:
        raise ProlificError(404, "Workspace not found.")
    balance = call.market.balance
    told = {"currency_code": call.market.currency, "total_balance": balance, "available_balance": balance}
    return 200, told | {"balance_breakdown": {}, "available_balance_breakdown": {}}


def _make_secret(call: Call) -> Answer:
    secret, workspace = call.market.hooks.make_secret(), call.body["workspace_id"]
    return 201, {"id": "s1", "value": secret, "workspace_id": workspace}


def _subscribe(call: Call) -> Answer:
    if not call.market.hooks.secret:
        raise ProlificError(400, "Create a secret for your workspace first.")
    subscription, proof = call.market.hooks.ask(call.body)
    return 201, {"results": [{**subscription, "is_enabled": True}]}, {"X-Hook-Secret": proof}


def _confirm(call: Call) -> Answer:
    if not call.market.hooks.confirm(call.id, call.body["secret"]):
        raise ProlificError(400, "That is not the secret of this subscription.")
    return 200, {**call.market.hooks.confirmed[-1], "is_enabled": True}


_ID = r"([^/]+)"
_ROUTES: list[tuple[str, str, Callable[[Call], Answer]]] = [
    ("POST", "/api/v1/studies/", lambda call: (201, _told(call.market.create_study(call.body)))),
    ("GET", "/api/v1/studies/", _studies),
    ("GET", f"/api/v1/projects/{_ID}/studies/", _studies_of_project),
    ("GET", f"/api/v1/studies/{_ID}/", lambda call: (200, _told(call.study))),
    ("PATCH", f"/api/v1/studies/{_ID}/", lambda call: (200, _told(call.market.change_study(call.study, call.body)))),
    (
        "POST",
        f"/api/v1/studies/{_ID}/transition/",
        lambda call: (200, _told(call.market.transition(call.study, call.body["action"]))),
    ),
    ("GET", f"/api/v1/studies/{_ID}/cost/", _cost),
    ("GET", "/api/v1/submissions/", _submissions),
    ("POST", "/api/v1/submissions/bulk-approve/", _bulk_approve),
    ("POST", "/api/v1/submissions/bonus-payments/", _set_up_bonuses),
    ("POST", f"/api/v1/submissions/{_ID}/transition/", _decide),
    ("POST", f"/api/v1/submissions/{_ID}/request-return/", _request_return),
    ("POST", f"/api/v1/bulk-bonus-payments/{_ID}/pay/", _pay_bonuses),
    ("GET", f"/api/v1/workspaces/{_ID}/balance/", _balance),
    ("POST", "/api/v1/hooks/secrets/", _make_secret),
    (
        "GET",
        "/api/v1/hooks/event-types/",
        lambda _: (200, {"results": [{"event_type": kind, "description": kind} for kind in EVENT_TYPES]}),
    ),
    ("POST", "/api/v1/hooks/subscriptions/", _subscribe),
    ("POST", f"/api/v1/hooks/subscriptions/{_ID}/", _confirm),
    ("GET", "/.well-known/study/jwks.json", lambda call: (200, call.market.signer.jwks())),
]
