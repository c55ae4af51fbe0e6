"""How many places a study should have open, decided under the lock of its budget.

The decision is on disk, and its money committed, before the recruiter is asked: whoever dies in between leaves a plan
that the next look carries out.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.money import Fees, cost, fees_on, in_words, load_fees
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.models.assignments import Assignment
from app.models.items import Slot
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.recruiters.configured import require_https, require_ready
from app.recruiters.recruiter import AWAITING_REVIEW, CODE_KINDS, DECIDED, FREE_THE_PLACE
from app.services import audit, money
from app.services.recruiting import auto_pause
from app.services.recruiting.alerts import is_stopped, tell, was_told
from app.services.study_lookup import current_protocol
from app.settings import Settings


def begin_as_configured(session: Session, *, study: Study, settings: Settings) -> None:
    """Begin recruiting, as this deployment is configured: a worker will be, too, or says in a notice that it is not.

    Raises:
        BadInput: see `begin`. Unavailable: the recruiter cannot be called from here, or people could not come here, or
        not over HTTPS.
    """
    begin(session, study=study, terms=load_fees(settings.fees), today=datetime.now(UTC).date())
    recruiter = current_protocol(session, study.id).recruiting.recruiter
    require_ready(settings, recruiter)
    require_https(settings, recruiter)


def begin(session: Session, *, study: Study, terms: Sequence[Fees], today: date) -> None:
    """Give the study a budget, after checking that its protocol can be recruited for.

    Raises:
        BadInput: it recruits nowhere, or the cap does not cover a single place.
    """
    protocol = current_protocol(session, study.id)
    recruiter = protocol.recruiting.recruiter
    if recruiter == "direct":
        raise BadInput(f"The study {study.slug!r} has no recruiter: set recruiting.recruiter in its protocol.")
    if protocol.pay.reward == 0:
        raise BadInput("pay.reward is 0: people on a recruiter's marketplace are paid.")
    price = cost(protocol.pay.reward, fees_on(today, recruiter, terms)).total
    if price > protocol.pay.budget:
        currency = protocol.pay.currency
        raise BadInput(
            f"pay.budget is {in_words(protocol.pay.budget, currency)}, but one place costs up to "
            f"{in_words(price, currency)} with fees."
        )
    money.set_budget(session, study_id=study.id, pay=protocol.pay)
    audit.record(session, "began recruiting", study=study)


def reprice(session: Session, *, study: Study, fees: Fees) -> None:
    """Where the recruiter's terms became dearer, commit what places that are open may cost more by now.

    Where the cap does not cover that, recruiting stops, and so does the recruiter's study (`is_current`): places that
    nobody took cost nothing then, and what they free covers the others at the next look.
    """
    money.balance(session, study.id, lock=True)
    for recruitment in recruitments(session, study.id):
        price = cost(recruitment.reward, fees).total
        if price <= recruitment.place_cost:
            continue
        try:
            money.reprice(session, recruitment=recruitment, place_cost=price)
        except money.OverBudget as error:
            message = (
                f"{recruitment.recruiter.capitalize()}'s fees rose, and the budget does not cover what the places that "
                f"are open may cost by now. {error.message} Places that nobody has taken are taken back. Have a look, "
                "then go on with: lookalike recruit resume"
            )
            tell(session, study_id=study.id, kind="fees-rose", message=message, stops=True)


def decide(session: Session, *, study: Study, fees: Fees) -> None:
    """Plan places for the votes the round still needs, within budget and brakes, at the recruiter's present `fees`."""
    protocol = current_protocol(session, study.id)
    balance = money.balance(session, study.id, lock=True)
    auto_pause.check(session, study_id=study.id, brakes=protocol.brakes)
    if not wants_people(study) or is_stopped(session, study.id):
        return
    current = current_recruitment(session, study=study, protocol=protocol, fees=fees)
    missing = min(_sittings_needed(session, study, protocol), protocol.recruiting.places_at_once)
    missing -= sum(_on_their_way(session, recruitment) for recruitment in recruitments(session, study.id))
    if missing <= 0:
        return
    price = cost(protocol.pay.reward, fees).total
    places = min(missing, balance.affords(price))
    if places == 0:
        message = f"The budget does not cover another place; {missing} more are needed."
        tell(session, study_id=study.id, kind="budget-spent", message=message, stops=True)
        return
    if not was_told(session, study_id=study.id, kind="last-tenth"):
        while places and balance.reaches_last_tenth(places * price):
            places -= 1
        if places == 0:
            message = "Nine tenths of the budget are spent or committed. Go on with: lookalike recruit resume"
            tell(session, study_id=study.id, kind="last-tenth", message=message, stops=True)
            return
    if current is None:
        current = _plan(session, study=study, protocol=protocol, places=places, price=price)
    else:
        current.places += places
        session.flush()
    money.commit_places(session, recruitment=current, places=places)


def wants_people(study: Study) -> bool:
    return study.state == "open" and study.finished_at is None


def has_work(session: Session, study: Study) -> bool:
    """Whether somebody who came now would find something to judge. If not, places that are still open are hidden:
    else people come, return, and are replaced, for ever."""
    free = select(Slot.id).where(Slot.study_id == study.id, Slot.state == "open")
    return session.scalar(select(free.exists())) or False


def recruitments(session: Session, study_id: int) -> list[Recruitment]:
    """Those whose books are still open, oldest first."""
    wanted = select(Recruitment).where(Recruitment.study_id == study_id, Recruitment.settled_at.is_(None))
    return list(session.scalars(wanted.order_by(Recruitment.number)))


def current_recruitment(session: Session, *, study: Study, protocol: Protocol, fees: Fees) -> Recruitment | None:
    """The one that new places go to: the study's, or that of the current round; a stopped one gets no more."""
    usable = [
        recruitment for recruitment in recruitments(session, study.id) if is_current(recruitment, study, protocol, fees)
    ]
    return usable[-1] if usable else None


def is_current(recruitment: Recruitment, study: Study, protocol: Protocol, fees: Fees) -> bool:
    """Whether its places are what a new one would be: of today's reward, at today's price."""
    price = cost(protocol.pay.reward, fees).total
    if recruitment.state == "stopped" or (recruitment.reward, recruitment.place_cost) != (protocol.pay.reward, price):
        return False
    return not protocol.recruiting.per_round or recruitment.round == study.round


def _sittings_needed(session: Session, study: Study, protocol: Protocol) -> int:
    """For the votes nobody is at, one sitting per `trials` of them; and one sitting gives an item one vote only."""
    free = select(Slot.item_id, func.count().label("slots")).where(Slot.study_id == study.id, Slot.state == "open")
    per_item = free.group_by(Slot.item_id).subquery()
    total, most = session.execute(
        select(func.coalesce(func.sum(per_item.c.slots), 0), func.coalesce(func.max(per_item.c.slots), 0))
    ).one()
    return max(-(-int(total) // protocol.assignment.trials), int(most))


def _on_their_way(session: Session, recruitment: Recruitment) -> int:
    """Places that nobody has taken, and people who have taken one but are not here yet."""
    taken, absent = session.execute(
        select(
            func.count().filter(Submission.status.not_in(FREE_THE_PLACE)),
            func.count().filter(Submission.status.not_in((*DECIDED, AWAITING_REVIEW)), Assignment.id.is_(None)),
        )
        .outerjoin(Assignment, Assignment.id == Submission.assignment_id)
        .where(Submission.recruitment_id == recruitment.id)
    ).one()
    free = 0 if recruitment.state == "stopped" else max(0, recruitment.places - taken)
    return free + int(absent)


def _plan(session: Session, *, study: Study, protocol: Protocol, places: int, price: int) -> Recruitment:
    last = session.scalar(select(func.max(Recruitment.number)).where(Recruitment.study_id == study.id)) or 0
    recruitment = Recruitment(
        study_id=study.id,
        number=last + 1,
        round=study.round,
        recruiter=protocol.recruiting.recruiter,
        reference=f"{study.slug} {last + 1} {secrets.token_hex(6)}",
        places=places,
        reward=protocol.pay.reward,
        place_cost=price,
        codes={kind: secrets.token_hex(4).upper() for kind in CODE_KINDS},
    )
    session.add(recruitment)
    session.flush()
    return recruitment
