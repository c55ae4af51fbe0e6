"""Recruiting from the dashboard: beginning it, which may cost money, and going on after what needed a human."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from sqlalchemy import select

from app.domain.counted import counted
from app.domain.money import cost, fees_on, in_words, load_fees
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, Unavailable
from app.models.money import Budget
from app.models.recruiting import Notice
from app.models.studies import Study
from app.services.accounts import members
from app.services.recruiting import alerts, plan
from app.services.study_lookup import current_protocol
from app.web.admin.access import AsResearcher, StudyAccess
from app.web.admin.confirmation import AskPage
from app.web.admin.pages import frame_of, go, head_of, show
from app.web.deps import Resources, ResourcesDep, SessionDep

router = APIRouter(prefix="/studies/{slug}/recruiting")
Act = Literal["begin", "resume"]
WORDS: dict[Act, str] = {"begin": "Begin recruiting", "resume": "Go on recruiting"}


def possible(session: SessionDep, access: StudyAccess, protocol: Protocol) -> dict[Act, str]:
    """What this person can do about the study's recruiting, with the words for it."""
    study = access.study
    if protocol.recruiting.recruiter == "direct" or study.state == "closed" or study.archived_at is not None:
        return {}
    budget = select(Budget.study_id).where(Budget.study_id == study.id)
    stopping = select(Notice.id).where(Notice.study_id == study.id, Notice.resolved_at.is_(None), Notice.stops)
    has_begun, is_stopped = session.execute(select(budget.exists(), stopping.exists())).one()
    if not has_begun:
        return {"begin": WORDS["begin"]} if access.signed_in.account.is_site_owner else {}
    return {"resume": WORDS["resume"]} if is_stopped else {}


@router.get("/{act}")
def ask(request: Request, act: Act, access: AsResearcher, session: SessionDep, resources: ResourcesDep) -> Response:
    _require_possible(session, access, act)
    return show(request, _page(request, session, access, act, resources))


@router.post("/{act}")
def carry_out(
    request: Request, act: Act, access: AsResearcher, session: SessionDep, resources: ResourcesDep
) -> Response:
    _require_possible(session, access, act)
    study = access.study
    if act == "resume":
        alerts.resolve_seen(session, study=study)
        return go(f"/admin/studies/{study.slug}", access.signed_in, "A worker goes on recruiting.")
    try:
        with session.begin_nested():
            plan.begin_as_configured(session, study=study, settings=resources.settings)
    except (BadInput, Conflict, Unavailable) as error:
        page = _page(request, session, access, act, resources, problem=error.message)
        return show(request, page, status=error.status)
    return go(
        f"/admin/studies/{study.slug}", access.signed_in, "It recruits while the study is open and a worker runs."
    )


def _require_possible(session: SessionDep, access: StudyAccess, act: Act) -> None:
    if act == "begin":
        members.require_may_spend(access.signed_in.account)
    if act not in possible(session, access, current_protocol(session, access.study.id)):
        raise Conflict("There is nothing to begin." if act == "begin" else "Nothing keeps this study from recruiting.")


def _page(
    request: Request,
    session: SessionDep,
    access: StudyAccess,
    act: Act,
    resources: Resources,
    *,
    problem: str | None = None,
) -> AskPage:
    study = access.study
    return AskPage(
        f"{WORDS[act]} · {study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=study.slug, current="Overview"),
        question=f"{WORDS[act]} for {study.slug}?",
        consequences=_costs(session, study, resources) if act == "begin" else _seen(session, study),
        fields=[],
        action=f"/admin/studies/{study.slug}/recruiting/{act}",
        submit=WORDS[act],
        back=f"/admin/studies/{study.slug}",
        problems={} if problem is None else {"": problem},
    )


def _costs(session: SessionDep, study: Study, resources: Resources) -> list[str]:
    protocol = current_protocol(session, study.id)
    pay, recruiting = protocol.pay, protocol.recruiting
    terms = fees_on(datetime.now(UTC).date(), recruiting.recruiter, load_fees(resources.settings.fees))
    place = in_words(cost(pay.reward, terms).total, pay.currency)
    return [
        "From here on it may cost money.",
        f"While the study is open, up to {counted(recruiting.places_at_once, 'place')} at a time are offered on "
        f"{recruiting.recruiter.capitalize()}. Each pays {in_words(pay.reward, pay.currency)} and costs up to {place} "
        "with fees and tax.",
        f"Never more than {in_words(pay.budget, pay.currency)} is spent in all.",
    ]


def _seen(session: SessionDep, study: Study) -> list[str]:
    told = [notice.message for notice in alerts.unresolved(session, study.id)]
    return [*told, "You have looked at all of this, and recruiting may go on."]
