"""The marketplace over HTTP: MTurk's operations, each request and each answer checked against its description."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from simulation.mturk.description import Description
from simulation.mturk.marketplace import WORKING, FakeHit, FakeHitType, FakeWork, MturkError, MturkMarketplace, new_id
from simulation.serving import PAGE, Mischief, Reply

LARGEST_PAGE = 20
"""MTurk may answer fewer results than were asked for."""
LONGEST_S, SHORTEST_S, LONGEST_QUESTION, MOST_REQUIREMENTS = 31_536_000, 30, 65_535, 10
_TOLD = {"AWAITING REVIEW": "Submitted", "APPROVED": "Approved", "REJECTED": "Rejected"}

Told = dict[str, Any]


class FakeMturk:
    """Answers one request at a time. `violations` are requests that its description forbids, and answers of its own."""

    def __init__(self, marketplace: MturkMarketplace) -> None:
        self.marketplace = marketplace
        self.mischief = Mischief()
        self.violations: list[str] = []
        self._description = Description()

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply | None:  # noqa: ARG002
        prefix, _, operation = headers.get("X-Amz-Target", "").partition(".")
        with self.marketplace.lock:
            match mishap := self.mischief.draw(operation, target):
                case "throttle":
                    return _json(400, {"__type": "ThrottlingException", "Message": "Rate exceeded"})
                case "error":
                    return _json(500, {"__type": "ServiceFault", "Message": "Something went wrong."})
                case "html":
                    return PAGE
            try:
                if prefix != self._description.target or operation not in _OPERATIONS:
                    raise MturkError("UnknownOperation", f"There is no {operation}.")
                if "Credential=" not in headers.get("Authorization", ""):
                    raise MturkError("NotAuthorized", "The request is not signed.")
                given = json.loads(body)
                self._require_valid(operation, given)
                answer = _OPERATIONS[operation](self.marketplace, given)
                self.violations += self._description.problems(operation, "output", answer)
            except MturkError as error:
                return _json(400, {"__type": "RequestError", "Message": str(error), "TurkErrorCode": error.code})
            return None if mishap == "lose" else _json(200, answer)

    def _require_valid(self, operation: str, given: Told) -> None:
        problems = self._description.problems(operation, "input", given)
        self.violations += [f"{operation}: {problem}" for problem in problems]
        if problems:
            raise MturkError("ParameterValidationError", "; ".join(problems))


def _json(status: int, body: Told) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise MturkError("ParameterValidationError", message)


def _once(market: MturkMarketplace, given: Told, error: MturkError) -> None:
    token = given.get("UniqueRequestToken")
    if token in market.tokens:
        raise error
    if token is not None:
        market.tokens.add(token)


def _page(name: str, rows: list[Told], given: Told) -> Told:
    start, size = int(given.get("NextToken", 0)), min(given.get("MaxResults", 10), LARGEST_PAGE)
    page: Told = {"NumResults": len(rows[start : start + size]), name: rows[start : start + size]}
    return page | ({"NextToken": str(start + size)} if start + size < len(rows) else {})


def _hit(market: MturkMarketplace, hit: FakeHit) -> Told:
    pending, done = market.count(hit, *WORKING), market.count(hit, "APPROVED", "REJECTED")
    kept = ("Title", "Description", "Keywords", "Reward", "AssignmentDurationInSeconds", "QualificationRequirements")
    return {
        **{name: hit.type.fields[name] for name in kept if name in hit.type.fields},
        "HITId": hit.id,
        "HITTypeId": hit.type.id,
        "CreationTime": hit.created,
        "Expiration": hit.expires,
        "Question": hit.question,
        "RequesterAnnotation": hit.annotation,
        "MaxAssignments": hit.places,
        "HITStatus": "Assignable" if market.available(hit) else "Unassignable",
        "NumberOfAssignmentsPending": pending,
        "NumberOfAssignmentsAvailable": market.available(hit),
        "NumberOfAssignmentsCompleted": done,
    }


def _assignment(work: FakeWork) -> Told:
    return {
        "AssignmentId": work.assignment,
        "WorkerId": work.participant,
        "HITId": work.hit.id,
        "AssignmentStatus": _TOLD[work.status],
        "AcceptTime": work.accepted,
        "SubmitTime": work.submitted,
    }


def _create_hit_type(market: MturkMarketplace, given: Told) -> Told:
    _require(SHORTEST_S <= given["AssignmentDurationInSeconds"] <= LONGEST_S, "AssignmentDurationInSeconds")
    requirements = given.get("QualificationRequirements", [])
    _require(len(requirements) <= MOST_REQUIREMENTS, "at most ten QualificationRequirements")
    for entry in requirements:
        _require(entry["QualificationTypeId"] in market.qualifications, "no such qualification type")
    same = next((kind for kind in market.studies.values() if kind.fields == given), None)
    kind = same or FakeHitType(new_id(), given)
    market.studies[kind.id] = kind
    return {"HITTypeId": kind.id}


def _create_hit(market: MturkMarketplace, given: Told) -> Told:
    _require(SHORTEST_S <= given["LifetimeInSeconds"] <= LONGEST_S, "LifetimeInSeconds")
    question = given.get("Question", "")
    _require(len(question.encode()) <= LONGEST_QUESTION, "Question")
    try:
        url, height = (element.text or "" for element in ElementTree.fromstring(question))  # noqa: S314 - our own
    except (ElementTree.ParseError, ValueError):
        raise MturkError("XHTMLValidationError", "The question is no ExternalQuestion.") from None
    _require(url.startswith("https://") and height.isdigit(), "ExternalURL must be https, FrameHeight a number")
    _once(market, given, MturkError("HitAlreadyExists", "The HIT exists already."))
    hit = market.add_hit(
        given["HITTypeId"],
        question=question,
        annotation=given.get("RequesterAnnotation", ""),
        places=given.get("MaxAssignments", 1),
        lifetime=given["LifetimeInSeconds"],
    )
    return {"HIT": _hit(market, hit)}


def _expire(market: MturkMarketplace, given: Told) -> Told:
    if given["HITId"] not in market.hits:
        raise MturkError("HITDoesNotExist", "There is no such HIT.")
    market.hits[given["HITId"]].expires = given["ExpireAt"]
    return {}


def _list_hits(market: MturkMarketplace, given: Told) -> Told:
    return _page("HITs", [_hit(market, hit) for hit in reversed(market.hits.values())], given)


def _list_assignments(market: MturkMarketplace, given: Told) -> Told:
    """Who is at work is not among them."""
    handed_in = [one for one in market.submissions.values() if one.hit.id == given["HITId"] and one.status in _TOLD]
    return _page("Assignments", [_assignment(work) for work in handed_in], given)


def _get_assignment(market: MturkMarketplace, given: Told) -> Told:
    work = market.work(given["AssignmentId"])
    return {"Assignment": _assignment(work), "HIT": _hit(market, work.hit)}


def _approve(market: MturkMarketplace, given: Told) -> Told:
    market.decide(given["AssignmentId"], "APPROVED")
    return {}


def _reject(market: MturkMarketplace, given: Told) -> Told:
    market.decide(given["AssignmentId"], "REJECTED")
    return {}


def _send_bonus(market: MturkMarketplace, given: Told) -> Told:
    _once(market, given, MturkError("Duplicate", "This bonus was given before, by the request ID 1."))
    amount, _, cents = given["BonusAmount"].partition(".")
    market.pay_bonus(given["AssignmentId"], given["WorkerId"], int(amount) * 100 + int(f"{cents:0<2}"))
    return {}


def _create_qualification(market: MturkMarketplace, given: Told) -> Told:
    if given["Name"] in market.qualifications.values():
        raise MturkError("QualificationTypeAlreadyExists", "You have already created a type with this name.")
    made = new_id()
    market.qualifications[made] = given["Name"]
    return {"QualificationType": {"QualificationTypeId": made, "Name": given["Name"]}}


def _list_qualifications(market: MturkMarketplace, given: Told) -> Told:
    found = [
        {"QualificationTypeId": made, "Name": name}
        for made, name in market.qualifications.items()
        if given.get("Query", "") in name
    ]
    return _page("QualificationTypes", found, given)


def _qualify(market: MturkMarketplace, given: Told) -> Told:
    market.holders.add((given["QualificationTypeId"], given["WorkerId"]))
    return {}


_OPERATIONS: dict[str, Callable[[MturkMarketplace, Told], Told]] = {
    "GetAccountBalance": lambda market, _: {"AvailableBalance": f"{market.balance / 100:.2f}"},
    "CreateHITType": _create_hit_type,
    "CreateHITWithHITType": _create_hit,
    "ListHITs": _list_hits,
    "UpdateExpirationForHIT": _expire,
    "ListAssignmentsForHIT": _list_assignments,
    "GetAssignment": _get_assignment,
    "ApproveAssignment": _approve,
    "RejectAssignment": _reject,
    "SendBonus": _send_bonus,
    "CreateQualificationType": _create_qualification,
    "ListQualificationTypes": _list_qualifications,
    "AssociateQualificationWithWorker": _qualify,
}
