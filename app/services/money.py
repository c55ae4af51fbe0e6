"""A study's money: every movement is a row of the ledger, and nothing is opened that the cap does not cover.

What may cost money is committed, under the lock of the study's budget, in the transaction that decides it; only then
is a recruiter asked. However requests, workers and crashes interleave, committed and spent together stay under the cap.
"""

from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.domain import money
from app.domain.money import Balance, in_words
from app.domain.protocol import Pay
from app.errors import Conflict
from app.models.money import Bonus, Budget, LedgerEntry
from app.models.recruiting import Recruitment

PAID_BONUSES = """coalesce((
    SELECT sum(b.amount) FROM bonuses b JOIN ledger l ON l.bonus_id = b.id AND l.kind = 'bonus_paid'
    WHERE b.assignment_id = {assignment} AND NOT b.cancelled), 0)"""
"""SQL: what an assignment's bonuses come to, in minor units, without fees."""


class OverBudget(Conflict):
    title = "The budget does not allow it"


def set_budget(session: Session, *, study_id: int, pay: Pay) -> None:
    """Give the study its budget, or change the cap.

    Raises:
        Conflict: more than the new cap is committed or spent already, or the currency changes.
    """
    budget = session.get(Budget, study_id, with_for_update=True)
    if budget is None:
        session.add(Budget(study_id=study_id, currency=pay.currency, cap=pay.budget))
    elif budget.currency != pay.currency:
        raise Conflict(f"This study pays in {budget.currency}; its currency cannot become {pay.currency}.")
    elif budget.committed + budget.spent > pay.budget:
        taken = in_words(budget.committed + budget.spent, budget.currency)
        raise Conflict(f"{taken} are committed or spent, so the budget cannot become less.")
    else:
        budget.cap = pay.budget
    session.flush()


def balance(session: Session, study_id: int, *, lock: bool = False) -> Balance:
    """Locked, it stays as it is until the transaction ends."""
    wanted = select(Budget.cap, Budget.committed, Budget.spent, Budget.outside).where(Budget.study_id == study_id)
    return Balance(*session.execute(wanted.with_for_update() if lock else wanted).one())


def balance_if_any(session: Session, study_id: int) -> Balance | None:
    """None for a study that never recruited."""
    budget = session.get(Budget, study_id)
    return None if budget is None else Balance(budget.cap, budget.committed, budget.spent, budget.outside)


def commit_places(session: Session, *, recruitment: Recruitment, places: int) -> None:
    """Commit the money for so many places of the recruitment, before anybody is asked to open them.

    Raises:
        OverBudget: the cap does not cover them; nothing was changed.
    """
    price = places * recruitment.place_cost
    _post(session, recruitment.study_id, "places", committed=price, recruitment_id=recruitment.id)


def reprice(session: Session, *, recruitment: Recruitment, place_cost: int) -> None:
    """The recruiter's terms became dearer: the places that may still be charged, and those counted as opened past us,
    are worth what they can cost now.

    Raises:
        OverBudget: the cap does not cover the difference; nothing was changed.
    """
    _, outside = _booked(session, recruitment)
    committed, more = committed_for(session, recruitment), place_cost - recruitment.place_cost
    _post(
        session,
        recruitment.study_id,
        "places",
        committed=committed // recruitment.place_cost * more,
        outside=outside // recruitment.place_cost * more,
        recruitment_id=recruitment.id,
    )
    recruitment.place_cost = place_cost


def pay_reward(session: Session, *, recruitment: Recruitment, submission_id: int) -> None:
    """The recruiter has approved a submission: what was committed is spent. Places opened past us were counted then.
    Of what is booked already nothing changes: a recruiter may tell the same again."""
    booked = select(LedgerEntry.id).where(LedgerEntry.submission_id == submission_id)
    if session.scalar(booked) is not None:
        return
    price = min(recruitment.place_cost, committed_for(session, recruitment))
    _post(
        session,
        recruitment.study_id,
        "reward",
        committed=-price,
        spent=price,
        recruitment_id=recruitment.id,
        submission_id=submission_id,
    )


def release_unused(session: Session, *, recruitment: Recruitment, still_possible: int) -> None:
    """Free what is committed for places that can no longer be paid; `still_possible` of them can."""
    surplus = committed_for(session, recruitment) - still_possible * recruitment.place_cost
    if surplus > 0:
        _post(session, recruitment.study_id, "unused", committed=-surplus, recruitment_id=recruitment.id)


def count_outside(session: Session, *, recruitment: Recruitment, places: int) -> None:
    """Places somebody opened on the recruiter's website: they count against the cap, allowed or not."""
    price = places * recruitment.place_cost
    _post(session, recruitment.study_id, "outside", outside=price, recruitment_id=recruitment.id)


def settle(session: Session, *, recruitment: Recruitment, charged: int) -> None:
    """Close the book of a recruitment whose every submission is decided, at what the recruiter really charged.

    We round every payment up; what that was too much is free again.
    """
    release_unused(session, recruitment=recruitment, still_possible=0)
    spent, outside = _booked(session, recruitment)
    too_much = spent + outside - charged
    off_outside = min(max(too_much, 0), outside)
    _post(
        session,
        recruitment.study_id,
        "settled",
        spent=-(max(too_much, 0) - off_outside),
        outside=-off_outside + max(-too_much, 0),
        recruitment_id=recruitment.id,
    )


def reserve_bonus(session: Session, bonus: Bonus) -> None:
    """Commit a bonus with its fee.

    Raises:
        OverBudget: the cap does not cover it.
    """
    _post(session, bonus.study_id, "bonus", committed=bonus.price, bonus_id=bonus.id)


def pay_bonus(session: Session, bonus: Bonus, *, charged: int) -> None:
    """The bonus was paid: of its price so much was charged."""
    _post(session, bonus.study_id, "bonus_paid", committed=-bonus.price, spent=charged, bonus_id=bonus.id)


def cancel_bonus(session: Session, bonus: Bonus) -> None:
    """The bonus was certainly not paid: its money is free again."""
    bonus.cancelled = True
    _post(session, bonus.study_id, "bonus_cancelled", committed=-bonus.price, bonus_id=bonus.id)


def committed_for(session: Session, recruitment: Recruitment) -> int:
    """What may still be charged for the places of a recruitment."""
    total = select(func.coalesce(func.sum(LedgerEntry.committed), 0))
    return int(session.scalars(total.where(LedgerEntry.recruitment_id == recruitment.id)).one())


def _booked(session: Session, recruitment: Recruitment) -> tuple[int, int]:
    sums = select(func.coalesce(func.sum(LedgerEntry.spent), 0), func.coalesce(func.sum(LedgerEntry.outside), 0)).where(
        LedgerEntry.recruitment_id == recruitment.id
    )
    spent, outside = session.execute(sums).one()
    return int(spent), int(outside)


def _post(
    session: Session, study_id: int, kind: str, *, committed: int = 0, spent: int = 0, outside: int = 0, **of: Any
) -> None:
    """Write one row and move the budget by it, under its lock."""
    budget = session.get_one(Budget, study_id, with_for_update=True, populate_existing=True)
    before = Balance(budget.cap, budget.committed, budget.spent, budget.outside)
    try:
        after = before.moved(committed=committed, spent=spent, outside=outside)
    except money.OverBudget:
        wanted, free, cap = (in_words(amount, budget.currency) for amount in (committed, before.free, budget.cap))
        raise OverBudget(f"That would take {wanted}, but only {free} of the budget of {cap} are left.") from None
    budget.committed, budget.spent, budget.outside = after.committed, after.spent, after.outside
    entry = {"study_id": study_id, "kind": kind, "committed": committed, "spent": spent, "outside": outside}
    session.execute(insert(LedgerEntry).values(entry | of))
    session.flush()
