"""Deciding about a person's pay and about their coming again: each asks first, and names what follows.

Paying and using are two decisions: nothing here touches a vote.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request, Response

from app.domain.messages import messages
from app.domain.money import Fees, cost, fees_on, in_words, load_fees
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, NotFound, Unavailable
from app.models.assignments import Assignment
from app.recruiters.configured import review_of
from app.recruiters.recruiter import APPROVED, DECIDED
from app.recruiters.retry import PROMPT
from app.services import audit, money
from app.services.assignments import blocks, browse
from app.services.recruiting import bonuses
from app.services.recruiting import review as recruiting_review
from app.services.study_lookup import current_protocol
from app.web.admin.access import AsResearcher, FormDep, StudyAccess
from app.web.admin.confirmation import Asked, AskPage
from app.web.admin.form_parsing import whole_number
from app.web.admin.pages import frame_of, go, head_of, show
from app.web.deps import Resources, ResourcesDep, SessionDep
from app.web.numbers import RowId

router = APIRouter(prefix="/studies/{slug}/assignments/{assignment_id}")
Decision = Literal["approve", "return", "reject", "bonus", "block", "unblock"]
WORDS: dict[Decision, str] = {
    "approve": "Approve and pay", "return": "Ask for a return", "reject": "Reject", "bonus": "Pay a bonus",
    "block": "Block", "unblock": "Unblock",
}  # fmt: skip
_DONE: dict[Decision, str] = {
    "approve": "The recruiter is asked to approve and pay it.",
    "return": "The person is asked to return it.",
    "reject": "It is rejected. Its votes count as before.",
    "bonus": "The bonus is granted; the next look at the recruiter pays it.",
    "block": "This person cannot begin another sitting. The one they may be in goes on.",
    "unblock": "This person may come again.",
}
_LOGGED: dict[Decision, str] = {
    "approve": "approved the submission of", "return": "asked for the return of",
    "reject": "rejected the submission of", "bonus": "granted a bonus for",
}  # fmt: skip
_OF_RECRUITER: tuple[Decision, ...] = ("approve", "return", "reject", "bonus")
LARGEST_BONUS = 10**6


def decisions_about(assignment: Assignment, *, submission: str | None, is_blocked: bool) -> dict[Decision, str]:
    """What can be decided about this assignment and its submission, as the recruiter last told of it, and the words
    for it. Nothing about the pay of one that the recruiter has not listed."""
    about_pay: tuple[Decision, ...] = ()
    if submission is not None and submission not in DECIDED:
        may_return = review_of(assignment.recruiter).can_ask_for_return
        about_pay = ("approve", "return", "reject") if may_return else ("approve", "reject")
    elif submission == APPROVED:
        about_pay = ("bonus",)
    about_person: tuple[Decision, ...] = ("unblock",) if is_blocked else ("block",)
    return {decision: WORDS[decision] for decision in about_pay + about_person}


@router.get("/decide/{decision}")
def ask(
    request: Request, assignment_id: RowId, decision: Decision, access: AsResearcher, session: SessionDep
) -> Response:
    assignment = _assignment(session, access, assignment_id, decision)
    protocol = current_protocol(session, access.study.id)
    return show(request, _page(request, access, assignment, decision, protocol, values=_proposed(decision, protocol)))


@router.post("/decide/{decision}")
def decide(
    request: Request,
    assignment_id: RowId,
    decision: Decision,
    form: FormDep,
    access: AsResearcher,
    session: SessionDep,
    resources: ResourcesDep,
) -> Response:
    assignment = _assignment(session, access, assignment_id, decision)
    protocol = current_protocol(session, access.study.id)
    values = {name: form.get(name, "").replace("\0", "").replace("\r\n", "\n").strip() for name in form}
    if problems := _problems(decision, assignment, values):
        page = _page(request, access, assignment, decision, protocol, values=values, problems=problems)
        return show(request, page, status=422)
    if decision == "bonus" and values.get("confirmed") != "yes":
        return show(request, _bonus_page(request, session, access, assignment, protocol, values, resources))
    try:
        with session.begin_nested():  # what is refused half-way leaves nothing behind
            _carry_out(session, resources, access, assignment, decision, values)
    except (BadInput, Conflict, Unavailable) as error:
        page = _page(request, access, assignment, decision, protocol, values=values, problems={"": error.message})
        return show(request, page, status=error.status)
    return go(_url(access, assignment), access.signed_in, _DONE[decision])


def _assignment(session: SessionDep, access: StudyAccess, assignment_id: int, decision: Decision) -> Assignment:
    assignment = browse.by_id(session, access.study, assignment_id)
    if decision in _OF_RECRUITER and browse.submission_status(session, assignment) is None:
        raise NotFound(f"No recruiter knows a submission of assignment {assignment.id}, so none pays for it.")
    return assignment


def _url(access: StudyAccess, assignment: Assignment) -> str:
    return f"/admin/studies/{access.study.slug}/assignments/{assignment.id}"


def _proposed(decision: Decision, protocol: Protocol) -> dict[str, str]:
    """What the fields begin with."""
    texts = {message.occasion: message.text for message in messages(protocol)}
    match decision:
        case "return":
            return {"reason": "Did not finish"}
        case "reject":
            return {"category": "FAILED_CHECK", "message": texts["Why it is rejected"]}
    return {}


def _problems(decision: Decision, assignment: Assignment, values: Mapping[str, str]) -> dict[str, str]:
    problems = {
        field.name: f"Say it, in at most {2000 if field.kind == 'text' else 500} characters."
        for field in _fields(decision, assignment)
        if not 0 < len(values.get(field.name, "")) <= (2000 if field.kind == "text" else 500)
    }
    if decision == "bonus" and not _amount(values):
        problems["amount"] = f"A whole number from 1 to {LARGEST_BONUS:,}."
    return problems


def _amount(values: Mapping[str, str]) -> int:
    """0 for what is none."""
    return whole_number(values.get("amount", ""), most=LARGEST_BONUS) or 0


def _fields(decision: Decision, assignment: Assignment) -> list[Asked]:
    review = review_of(assignment.recruiter)
    match decision:
        case "return":
            return [Asked("reason", "Reason", "The person reads it.")]
        case "reject":
            grounds = {name: name.replace("_", " ").lower() for name in review.grounds}
            least = f" At least {review.shortest_message} characters." if review.shortest_message > 1 else ""
            message = Asked("message", "Message", f"The person reads it.{least}", kind="text")
            return [Asked("category", "Ground", kind="choice", choices=grounds), message] if grounds else [message]
        case "bonus":
            return [
                Asked("amount", "Amount", "In the currency’s smallest unit, such as pence.", kind="number"),
                Asked("reason", "Reason", "For one reason a person gets one bonus."),
            ]
        case "block":
            return [Asked("reason", "Reason", "It is kept, and the person may ask for it.")]
    return []


def _consequences(decision: Decision, protocol: Protocol) -> list[str]:
    reward = in_words(protocol.pay.reward, protocol.pay.currency)
    votes = "Whether the votes are used is another decision: nothing about that changes."
    match decision:
        case "approve":
            return [f"The person is paid the reward, {reward} at present, and it cannot be taken back.", votes]
        case "return":
            return [
                "The recruiter asks the person to give the submission back. They need not.",
                "If they do, they are not paid, and the votes of the sitting are not used.",
            ]
        case "reject":
            return [
                "The person is not paid for this sitting, and their standing at the recruiter suffers.",
                "It cannot be taken back here: only the recruiter’s support can.",
                votes,
            ]
        case "bonus":
            return ["Nothing is granted yet: the next page says what it costs."]
        case "block":
            return ["The person cannot begin another sitting of this study.", "What they answered counts as before."]
        case "unblock":
            return ["The person may begin another sitting of this study."]


def _page(
    request: Request,
    access: StudyAccess,
    assignment: Assignment,
    decision: Decision,
    protocol: Protocol,
    *,
    values: dict[str, str],
    problems: dict[str, str] | None = None,
) -> AskPage:
    what = f"the participant of assignment {assignment.id}" if "block" in decision else f"assignment {assignment.id}"
    return AskPage(
        f"{WORDS[decision]} · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Assignments"),
        question=f"{WORDS[decision]}: {what}?",
        consequences=_consequences(decision, protocol),
        fields=_fields(decision, assignment),
        action=f"{_url(access, assignment)}/decide/{decision}",
        submit="Go on" if decision == "bonus" else WORDS[decision],
        back=_url(access, assignment),
        is_grave=decision in ("reject", "block"),
        values=values,
        problems=problems or {},
    )


def _bonus_page(
    request: Request,
    session: SessionDep,
    access: StudyAccess,
    assignment: Assignment,
    protocol: Protocol,
    values: Mapping[str, str],
    resources: Resources,
) -> AskPage:
    """The second step of a bonus: what it costs in all, and what the budget has left."""
    currency, terms = protocol.pay.currency, load_fees(resources.settings.fees)
    price = cost(_amount(values), _fees(protocol, terms))
    free = money.balance(session, access.study.id).free
    return AskPage(
        f"{WORDS['bonus']} · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Assignments"),
        question=f"Pay {in_words(price.pay, currency)} for assignment {assignment.id}?",
        consequences=[
            f"The person gets {in_words(price.pay, currency)} for: {values['reason']}",
            f"With fees and tax it costs up to {in_words(price.total, currency)}; {in_words(free, currency)} of the "
            "budget are free.",
            "Once it is paid it cannot be taken back.",
        ],
        fields=[],
        action=f"{_url(access, assignment)}/decide/bonus",
        submit=f"Pay {in_words(price.pay, currency)}",
        back=_url(access, assignment),
        kept={"amount": values["amount"], "reason": values["reason"], "confirmed": "yes"},
    )


def _fees(protocol: Protocol, terms: list[Fees]) -> Fees:
    return fees_on(datetime.now(UTC).date(), protocol.recruiting.recruiter, terms)


def _carry_out(
    session: SessionDep,
    resources: Resources,
    access: StudyAccess,
    assignment: Assignment,
    decision: Decision,
    values: Mapping[str, str],
) -> None:
    """Raises what the recruiter or the budget say against it."""
    study = access.study
    calling = (resources.sessions, resources.keys, resources.settings)
    match decision:
        case "approve":
            recruiting_review.approve(*calling, assignment_id=assignment.id, patience=PROMPT)
        case "return":
            recruiting_review.request_return(
                *calling, assignment_id=assignment.id, reason=values["reason"], patience=PROMPT
            )
        case "reject":
            recruiting_review.reject(
                *calling,
                assignment_id=assignment.id,
                category=values.get("category", ""),
                message=values["message"],
                patience=PROMPT,
            )
        case "bonus":
            bonuses.grant(
                session,
                study=study,
                amount=_amount(values),
                reason=values["reason"],
                assignments=[assignment.id],
                terms=load_fees(resources.settings.fees),
                today=datetime.now(UTC).date(),
            )
        case "block":
            blocks.block(session, study=study, assignment=assignment, reason=values["reason"])
        case "unblock":
            blocks.unblock(session, study=study, assignment=assignment)
    if decision in _LOGGED:
        said = {name: value for name, value in values.items() if name in ("reason", "category", "amount")}
        audit.record(session, _LOGGED[decision], study=study, subject=f"assignment {assignment.id}", **said)
