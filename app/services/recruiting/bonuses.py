"""Bonuses: granted by a human, paid by one call that is never made twice.

The money is reserved and the intent on disk before the recruiter hears of it. Setting a bonus up pays nothing and may
be done again; paying it is not repeatable at any recruiter, so a batch is marked before the call, and one that is found
marked, or whose answer never came, is put before a human instead of being paid again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.money import Fees, cost, fees_on, hourly_pay, in_words, top_up
from app.errors import BadInput, Conflict, NotFound
from app.keys import Keys
from app.models.money import Bonus, BonusBatch
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.recruiters.recruiter import APPROVED, NothingHappened, OutcomeUnclear, Recruiter, Refused
from app.services import audit, money
from app.services.assignments import people
from app.services.recruiting.alerts import resolve, tell
from app.services.study_lookup import current_protocol

AT_ONCE = {"prolific": 200, "mturk": 1}
"""Bonuses of one batch: what Prolific recommends at most; at MTurk each bonus is a call of its own."""


@dataclass(frozen=True)
class PayPerHour:
    """What an hour of the study really pays, by the medians of its completed sittings' length and of their pay with
    bonuses, and the bonus that would lift it to the floor. Amounts in minor units; `sittings` is how many there are."""

    sittings: int
    median_seconds: float
    hourly: int
    hourly_floor: int
    proposed_bonus: int


_MEDIANS = text(f"""
    SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - a.created_at)),
           percentile_disc(0.5) WITHIN GROUP (
               ORDER BY coalesce(r.reward, :reward) + {money.PAID_BONUSES.format(assignment="a.id")})
    FROM assignments a LEFT JOIN recruitments r ON r.id = a.recruitment_id
    WHERE a.study_id = :study AND a.state = 'completed'
""")


def pay_per_hour(session: Session, study: Study) -> PayPerHour | None:
    """None until somebody has completed."""
    pay = current_protocol(session, study.id).pay
    sittings, length, paid = session.execute(_MEDIANS, {"study": study.id, "reward": pay.reward}).one()
    if not sittings:
        return None
    seconds, paid = float(length), int(paid)
    return PayPerHour(
        sittings=sittings,
        median_seconds=seconds,
        hourly=hourly_pay(paid, seconds),
        hourly_floor=pay.hourly_floor,
        proposed_bonus=top_up(paid, seconds, pay.hourly_floor),
    )


def paid_assignments(session: Session, study: Study) -> list[int]:
    """The assignments whose submissions the recruiter has approved: those that can get a bonus."""
    wanted = select(Submission.assignment_id).join(Recruitment, Recruitment.id == Submission.recruitment_id)
    paid = wanted.where(
        Recruitment.study_id == study.id, Submission.status == APPROVED, Submission.assignment_id.is_not(None)
    )
    return [assignment for assignment in session.scalars(paid.order_by(Submission.id)) if assignment is not None]


def grant(
    session: Session,
    *,
    study: Study,
    amount: int,
    reason: str,
    assignments: Sequence[int],
    terms: Sequence[Fees],
    today: date,
) -> None:
    """Grant each assignment a bonus and reserve the money; the next look at the recruiter pays it.

    Raises:
        BadInput: no amount, no reason, or an assignment that never took part at the recruiter or was erased.
        Conflict: somebody has a bonus for this reason already. OverBudget: the cap does not cover them.
    """
    if amount <= 0 or not reason.strip():
        raise BadInput("A bonus needs an amount in minor units and a reason.")
    took_part = set(paid_assignments(session, study))
    strangers = sorted(set(assignments) - took_part)
    if strangers or not assignments:
        raise BadInput(f"No bonus for assignments that nobody was paid for in {study.slug!r}: {strangers}.")
    if erased := sorted(set(assignments) - people.with_submission_id(session, assignments)):
        raise BadInput(f"These people's data were erased, so that they cannot be paid any more: {erased}.")
    # Before the first bonus, whose row takes a share of this lock: two who hold one would wait for each other.
    money.balance(session, study.id, lock=True)
    recruiter = current_protocol(session, study.id).recruiting.recruiter
    price = cost(amount, fees_on(today, recruiter, terms)).total
    by_recruitment: dict[int, list[int]] = {}
    for submission in session.scalars(
        select(Submission).where(Submission.assignment_id.in_(assignments)).order_by(Submission.id)
    ):
        assert submission.assignment_id is not None
        by_recruitment.setdefault(submission.recruitment_id, []).append(submission.assignment_id)
    for recruitment_id, theirs in by_recruitment.items():
        for start in range(0, len(theirs), AT_ONCE[recruiter]):
            batch = BonusBatch(recruitment_id=recruitment_id)
            session.add(batch)
            session.flush()
            for assignment_id in theirs[start : start + AT_ONCE[recruiter]]:
                _reserve(session, study, batch, assignment_id, amount, price, reason)


@dataclass(frozen=True)
class Granted:
    """How many people got a bonus of `amount`. `erased` were paid, but who they are is not known any more."""

    people: int
    amount: int
    erased: int


def top_up_all(
    session: Session, *, study: Study, amount: int | None, reason: str, terms: Sequence[Fees], today: date
) -> Granted:
    """Grant a bonus to everybody who was paid, has none for this reason, and is still known; without an amount, what
    lifts the median sitting to the floor.

    Raises:
        BadInput: nobody needs one, or nobody can get one. OverBudget: the cap does not cover them.
    """
    if amount is None:
        real = pay_per_hour(session, study)
        amount = real.proposed_bonus if real else 0
        if amount == 0:
            raise BadInput("The reward reaches the hourly floor already. Name an --amount to pay a bonus all the same.")
    have = set(session.scalars(select(Bonus.assignment_id).where(Bonus.reason == reason, ~Bonus.cancelled)))
    without = [assignment for assignment in paid_assignments(session, study) if assignment not in have]
    known = people.with_submission_id(session, without)
    reachable = [assignment for assignment in without if assignment in known]
    if not reachable:
        raise BadInput("There is nobody who was paid, is still known, and has no bonus for this reason.")
    grant(session, study=study, amount=amount, reason=reason, assignments=reachable, terms=terms, today=today)
    audit.record(session, "topped up everybody", study=study, amount=amount, people=len(reachable), reason=reason)
    return Granted(len(reachable), amount, erased=len(without) - len(reachable))


def _reserve(
    session: Session, study: Study, batch: BonusBatch, assignment_id: int, amount: int, price: int, reason: str
) -> None:
    bonus = Bonus(
        study_id=study.id, assignment_id=assignment_id, amount=amount, price=price, reason=reason, batch_id=batch.id
    )
    session.add(bonus)
    try:
        session.flush()
    except IntegrityError:
        raise Conflict(f"Assignment {assignment_id} has a bonus for this reason already: {reason}") from None
    money.reserve_bonus(session, bonus)


def send(sessions: Sessions, keys: Keys, recruiter: Recruiter, *, study_id: int) -> None:
    """Pay what is granted, each batch by one call. What an earlier look left unclear goes before a human."""
    with sessions.begin() as session:
        for batch in _batches(session, study_id, "paying"):
            _put_before_a_human(session, study_id, batch, "the process ended while it was being paid")
    with sessions() as session:
        intended = [batch.id for batch in _batches(session, study_id, "intended")]
    for batch_id in intended:
        _pay(sessions, keys, recruiter, batch_id)


def _batches(session: Session, study_id: int, state: str) -> list[BonusBatch]:
    wanted = select(BonusBatch).join(Recruitment, Recruitment.id == BonusBatch.recruitment_id)
    return list(
        session.scalars(
            wanted.where(Recruitment.study_id == study_id, BonusBatch.state == state).order_by(BonusBatch.id)
        )
    )


def _pay(sessions: Sessions, keys: Keys, recruiter: Recruiter, batch_id: int) -> None:
    with sessions.begin() as session:
        _leave_out_erased(session, batch_id)
    with sessions() as session:
        batch = session.get_one(BonusBatch, batch_id)
        recruitment = session.get_one(Recruitment, batch.recruitment_id)
        bonuses = _bonuses(session, batch_id)
        expected, reserved = sum(bonus.amount for bonus in bonuses), sum(bonus.price for bonus in bonuses)
        amounts = {
            submission: bonus.amount
            for bonus in bonuses
            if (submission := people.submission_id(session, keys, assignment_id=bonus.assignment_id)) is not None
        }
    assert recruitment.external_id is not None
    if not bonuses:
        return
    try:
        quote = recruiter.quote_bonuses(recruitment.external_id, amounts)
        if quote.amount != expected or quote.total > reserved:
            raise Refused(
                f"The recruiter would pay {quote.amount} for {quote.total} in all, but granted were {expected} for "
                f"{reserved} at most."
            )
        with sessions.begin() as session:
            _move(
                session,
                batch_id,
                state="paying",
                external_id=quote.id,
                quoted=quote.total,
                called_at=func.clock_timestamp(),
            )
        recruiter.pay_bonuses(quote.id)
    except NothingHappened:
        with sessions.begin() as session:
            _move(session, batch_id, state="intended", external_id=None, quoted=None, called_at=None)
        raise
    except OutcomeUnclear as error:
        with sessions.begin() as session:
            batch = session.get_one(BonusBatch, batch_id)
            _put_before_a_human(session, recruitment.study_id, batch, error.message)
    except Refused as error:
        with sessions.begin() as session:
            _cancel(session, batch_id, state="refused", note=error.message)
            _tell_refused(session, recruitment.study_id, batch_id, error.message)
    else:
        with sessions.begin() as session:
            _book(session, batch_id)


def _leave_out_erased(session: Session, batch_id: int) -> None:
    """Whoever was erased since the bonus was granted cannot be paid any more; the others of the batch can."""
    bonuses = _bonuses(session, batch_id)
    known = people.with_submission_id(session, [bonus.assignment_id for bonus in bonuses])
    erased = [bonus for bonus in bonuses if bonus.assignment_id not in known]
    for bonus in erased:
        money.cancel_bonus(session, bonus)
    if erased:
        why = f"{len(erased)} of {len(bonuses)} people's data were erased, so that they cannot be paid any more."
        _tell_refused(session, erased[0].study_id, batch_id, why)
    if len(erased) == len(bonuses):
        _move(session, batch_id, state="refused", note="everybody was erased", settled_at=func.clock_timestamp())


def _bonuses(session: Session, batch_id: int) -> list[Bonus]:
    """What the batch is to pay, or has paid."""
    wanted = select(Bonus).where(Bonus.batch_id == batch_id, ~Bonus.cancelled)
    return list(session.scalars(wanted.order_by(Bonus.id)))


def _move(session: Session, batch_id: int, **values: object) -> None:
    session.execute(update(BonusBatch).where(BonusBatch.id == batch_id).values(**values))


def _book(session: Session, batch_id: int) -> None:
    """The batch is paid: what was charged is shared out over its bonuses."""
    left = session.get_one(BonusBatch, batch_id).quoted or 0
    for bonus in _bonuses(session, batch_id):
        share = min(bonus.price, left)
        money.pay_bonus(session, bonus, charged=share)
        left -= share
    _move(session, batch_id, state="paid", settled_at=func.clock_timestamp())


def _cancel(session: Session, batch_id: int, *, state: str, note: str) -> None:
    for bonus in _bonuses(session, batch_id):
        money.cancel_bonus(session, bonus)
    _move(session, batch_id, state=state, note=note, settled_at=func.clock_timestamp())


def _tell_refused(session: Session, study_id: int, batch_id: int, why: str) -> None:
    message = f"Bonuses of batch {batch_id} were not paid: {why}"
    tell(session, study_id=study_id, kind="bonus-refused", subject=f"batch {batch_id}", message=message)


def _put_before_a_human(session: Session, study_id: int, batch: BonusBatch, why: str) -> None:
    batch.state, batch.note = "unclear", why
    message = (
        f"Nobody knows whether the bonuses of batch {batch.id} (bulk payment {batch.external_id}) were paid: {why}. "
        "They are not paid again. Look at the recruiter's website, then say which: lookalike recruit settle-bonus "
        f"{batch.id} --paid or --not-paid"
    )
    tell(session, study_id=study_id, kind="bonus-unclear", subject=f"batch {batch.id}", message=message)


def settle(session: Session, *, batch_id: int, paid: bool) -> None:
    """A human has looked: the bonuses of an unclear batch were paid, or were not.

    Raises:
        NotFound: no such batch. Conflict: its outcome is known.
    """
    batch = session.get(BonusBatch, batch_id, with_for_update=True)
    if batch is None:
        raise NotFound(f"There is no batch {batch_id} of bonuses.")
    if batch.state != "unclear":
        raise Conflict(f"Batch {batch_id} is {batch.state}: there is nothing to settle.")
    recruitment = session.get_one(Recruitment, batch.recruitment_id)
    if paid:
        _book(session, batch_id)
    else:
        _cancel(session, batch_id, state="not_paid", note=batch.note or "")
    resolve(session, study_id=recruitment.study_id, kind="bonus-unclear", subject=f"batch {batch_id}")
    study = session.get_one(Study, recruitment.study_id)
    audit.record(session, "settled the bonuses of", study=study, subject=f"batch {batch_id}", paid=paid)


def warn_below_floor(session: Session, study: Study) -> None:
    """Say so when people really earn less than the floor, until a bonus has made up for it."""
    real = pay_per_hour(session, study)
    if real is None or real.sittings < 5:
        return
    if not real.proposed_bonus:
        resolve(session, study_id=study.id, kind="below-floor")
        return
    currency = current_protocol(session, study.id).pay.currency
    tell(
        session,
        study_id=study.id,
        kind="below-floor",
        message=f"Half of the people need {real.median_seconds / 60:.1f} min or more, which pays "
        f"{in_words(real.hourly, currency)} an hour; the floor is {in_words(real.hourly_floor, currency)}. A bonus of "
        f"{in_words(real.proposed_bonus, currency)} for everybody would lift it: lookalike recruit top-up {study.slug}",
    )
