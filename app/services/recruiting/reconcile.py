"""One look at the recruiter: what it tells is brought into our books, what we plan is carried out there.

A look may end anywhere, by an error or by kill -9. The next one finds what is on disk and what the recruiter says, and
goes on from there; only the payment of bonuses, which no recruiter lets us repeat, is then left to a human. One look at
a time: money calls of a workspace must not overlap.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.counted import counted
from app.domain.money import Fees, fees_on, load_fees
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, LookalikeError
from app.keys import Keys
from app.models.money import OWED, BonusBatch, Budget
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.recruiters.configured import calling, require_ready
from app.recruiters.recruiter import (
    DECIDED,
    FREE_THE_PLACE,
    Recruiter,
    RecruiterError,
    Refused,
    RemoteStudy,
    StudyDraft,
)
from app.recruiters.retry import PATIENT, Patience
from app.services import money
from app.services.recruiting import bonuses, plan, submissions
from app.services.recruiting.alerts import is_stopped, resolve, tell
from app.services.study_lookup import by_slug, current_protocol
from app.settings import Settings

log = structlog.get_logger()

ONE_LOOK_AT_A_TIME = 5_219_007  # key of the advisory lock
Wish = Literal["open", "paused", "stopped"]


@dataclass
class LookReport:
    """What a look did. Of the study's `at_recruiter` parts there it `read` so many, with all their submissions.
    `problems` are the recruiter's errors, in words, for which the next look tries again; `refused` is what it would
    not do, which needs a human."""

    study: str
    at_recruiter: int = 0
    read: int = 0
    news: int = 0
    approved: int = 0
    strangers: int = 0
    problems: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class SomebodyLooks(Conflict):
    def __init__(self) -> None:
        super().__init__("Another process is looking at the recruiter just now. Try again in a moment.")


@contextmanager
def one_at_a_time(sessions: Sessions) -> Iterator[None]:
    """Raises SomebodyLooks while somebody else looks. The lock ends with its connection, however the holder dies."""
    engine: Engine = sessions.kw["bind"]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ONE_LOOK_AT_A_TIME}):
            raise SomebodyLooks
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ONE_LOOK_AT_A_TIME})


def recruiting_slugs(session: Session) -> list[str]:
    """The studies that recruit, or still have something to settle or to pay at a recruiter."""
    unsettled = select(Recruitment.id).where(Recruitment.study_id == Study.id, Recruitment.settled_at.is_(None))
    live = Study.state.in_(["open", "paused"]) & Study.finished_at.is_(None)
    owed = select(Recruitment.study_id).join(BonusBatch, BonusBatch.recruitment_id == Recruitment.id)
    to_pay = Study.id.in_(owed.where(BonusBatch.state.in_(OWED)))
    wanted = select(Study.slug).join(Budget, Budget.study_id == Study.id).where(live | unsettled.exists() | to_pay)
    return list(session.scalars(wanted.order_by(Study.id)))


def look_at_all(sessions: Sessions, keys: Keys, settings: Settings, *, patience: Patience = PATIENT) -> None:
    """Look at every study that recruits. Whatever goes wrong with one, a notice of that study says it until a look goes
    well, and the others are looked at all the same. Once patience `is_over`, the rest is left to the next look.

    Raises:
        SomebodyLooks: somebody else looks just now.
    """
    with sessions() as session:
        slugs = recruiting_slugs(session)
    for slug in slugs:
        try:
            problems = look_at(sessions, keys, settings, slug=slug, patience=patience).problems
        except SomebodyLooks:
            raise
        except LookalikeError as error:
            problems = [error.message]
            log.warning("recruiter", study=slug, problem=error.message)
        except Exception as error:  # an error of ours, or an answer nobody thought of
            problems = [f"{type(error).__name__}, of which the worker's log has more."]
            log.exception("recruiter", study=slug)
        if patience.is_over():
            return
        _tell_problems(sessions, slug, problems)


def _tell_problems(sessions: Sessions, slug: str, problems: Sequence[str]) -> None:
    with sessions.begin() as session:
        study_id = by_slug(session, slug).id
        if problems:
            message = f"The last look at the recruiter failed; each minute tries again. {' '.join(problems)}"
            tell(session, study_id=study_id, kind="look-failed", message=message)
        else:
            resolve(session, study_id=study_id, kind="look-failed")


def look_at(
    sessions: Sessions, keys: Keys, settings: Settings, *, slug: str, patience: Patience = PATIENT
) -> LookReport:
    """Look at one study's recruiter, as this deployment is configured.

    Raises:
        SomebodyLooks: somebody else looks just now. And what `ready_recruiter` raises.
    """
    with sessions() as session:
        recruiter_name = ready_recruiter(session, settings, slug=slug)
    terms = load_fees(settings.fees)
    with one_at_a_time(sessions), calling(settings, recruiter_name, patience=patience) as recruiter:
        return look(sessions, keys, recruiter, slug=slug, public_url=settings.public_url, terms=terms)


def ready_recruiter(session: Session, settings: Settings, *, slug: str) -> str:
    """The name of the study's recruiter, which can be called.

    Raises:
        NotFound: no such study. BadInput: it recruits nowhere. Unavailable: the recruiter is not configured here, or
        people could not come here.
    """
    study = by_slug(session, slug)
    if session.get(Budget, study.id) is None:
        raise BadInput(f"The study {slug!r} does not recruit yet: lookalike recruit start {slug}")
    recruiter = current_protocol(session, study.id).recruiting.recruiter
    require_ready(settings, recruiter)
    return recruiter


def look(
    sessions: Sessions, keys: Keys, recruiter: Recruiter, *, slug: str, public_url: str, terms: Sequence[Fees]
) -> LookReport:
    """Look at a study's recruiter once, under `one_at_a_time`."""
    report = LookReport(slug)
    fees = fees_on(datetime.now(UTC).date(), recruiter.name, terms)
    with sessions.begin() as session:
        study = by_slug(session, slug)
        study_id = study.id
        plan.reprice(session, study=study, fees=fees)
    with sessions() as session:
        at_recruiter = [
            recruitment for recruitment in plan.recruitments(session, study_id) if recruitment.state != "planned"
        ]
        session.expunge_all()
    report.at_recruiter = len(at_recruiter)
    url = f"{public_url.rstrip('/')}/studies/{slug}"
    before: dict[int, RemoteStudy] = {}
    for recruitment in at_recruiter:
        with _noting_problems(sessions, study_id, report):
            before[recruitment.id] = _take_in(sessions, keys, recruiter, recruitment, report, url)
    with sessions.begin() as session:
        study = session.get_one(Study, study_id)
        plan.decide(session, study=study, fees=fees)
    with sessions() as session:
        planned = [recruitment.id for recruitment in plan.recruitments(session, study_id)]
    for recruitment_id in planned:
        with _noting_problems(sessions, study_id, report):
            _carry_out(sessions, recruiter, recruitment_id, url, fees, before.get(recruitment_id))
    with _noting_problems(sessions, study_id, report):
        bonuses.send(sessions, keys, recruiter, study_id=study_id)
    with sessions.begin() as session:
        bonuses.warn_below_floor(session, session.get_one(Study, study_id))
    return report


@contextmanager
def _noting_problems(sessions: Sessions, study_id: int, report: LookReport) -> Iterator[None]:
    """A recruiter that does not answer is asked again by the next look; one that refuses needs a human."""
    try:
        yield
    except (RecruiterError, Refused) as error:
        log.warning("recruiter", study=report.study, problem=error.message)
        if isinstance(error, RecruiterError):
            report.problems.append(error.message)
            return
        report.refused.append(error.message)
        with sessions.begin() as session:
            tell(session, study_id=study_id, kind="refused", message=error.message, stops=True)


# --- from the recruiter to us -----------------------------------------------------------------------------------------


def _take_in(
    sessions: Sessions, keys: Keys, recruiter: Recruiter, recruitment: Recruitment, report: LookReport, url: str
) -> RemoteStudy:
    """The study as it was there before its submissions were listed."""
    assert recruitment.external_id is not None
    remote = recruiter.study(recruitment.external_id)
    with sessions() as session:
        asked_at = session.scalars(select(func.clock_timestamp())).one()
    found = submissions.take_in(
        sessions,
        keys,
        recruitment_id=recruitment.id,
        told=recruiter.submissions(recruitment.external_id),
        asked_at=asked_at,
        is_complete=recruiter.lists_work_in_progress,
    )
    report.read += 1
    report.news += found.news
    report.strangers += found.strangers
    with sessions.begin() as session:
        _notice_edits(session, session.get_one(Recruitment, recruitment.id, with_for_update=True), remote, url)
    if found.to_approve:
        recruiter.approve(found.to_approve)
        report.approved += len(found.to_approve)
    return remote


def _notice_edits(session: Session, recruitment: Recruitment, remote: RemoteStudy, url: str) -> None:
    """Somebody changed the study on the recruiter's website: their will, but not without a word."""
    edits = []
    if remote.places > recruitment.places:
        more = remote.places - recruitment.places
        money.count_outside(session, recruitment=recruitment, places=more)
        recruitment.places = remote.places
        edits.append(f"{counted(more, 'place was', 'places were')} added, which makes {remote.places}")
    if remote.reward != recruitment.reward:
        edits.append(f"the reward is {remote.reward} instead of {recruitment.reward}")
    if remote.url.partition("?")[0] != url:  # the parameters come back as Prolific writes them
        edits.append("people are sent to another address")
    if recruitment.state == "open" and remote.state == "paused":
        edits.append("it was paused")
        recruitment.state = "paused"
    if (
        recruitment.state == "open"
        and remote.state == "ended"
        and remote.places == recruitment.places > _taken(session, recruitment) + remote.unlisted
    ):
        edits.append("it was stopped")
    for edit in edits:
        message = (
            f"The study {recruitment.external_id} was changed on {recruitment.recruiter}'s website: {edit}. "
            "Recruiting is paused. Have a look, then go on with: lookalike recruit resume"
        )
        tell(session, study_id=recruitment.study_id, kind="edited", subject=edit, message=message, stops=True)


def _taken(session: Session, recruitment: Recruitment) -> int:
    taken = select(func.count()).where(
        Submission.recruitment_id == recruitment.id, Submission.status.not_in(FREE_THE_PLACE)
    )
    return session.scalars(taken).one()


# --- from us to the recruiter -----------------------------------------------------------------------------------------


def _carry_out(
    sessions: Sessions, recruiter: Recruiter, recruitment_id: int, url: str, fees: Fees, before: RemoteStudy | None
) -> None:
    """Make the recruiter's study what ours should be. Every step may be made again. `before` is how it was when its
    submissions were listed, if they were: only a list from after its end has everybody."""
    with sessions() as session:
        recruitment = session.get_one(Recruitment, recruitment_id)
        study = session.get_one(Study, recruitment.study_id)
        protocol = current_protocol(session, study.id)
        wish = _wish(session, study, protocol, recruitment, fees)
        draft = _draft(session, study, protocol, recruitment, url)
        session.expunge_all()
    if recruitment.external_id is None:
        if wish != "open":
            return
        _require_currency(recruiter, protocol.pay.currency)
        found = recruiter.find_study(recruitment.reference, project=draft.project)
        external_id = found or recruiter.create_study(draft)
        _record(sessions, recruitment_id, state="draft", external_id=external_id)
    else:
        external_id = recruitment.external_id
    remote = recruiter.study(external_id)
    if wish == "open" and remote.places < recruitment.places:
        recruiter.set_places(external_id, recruitment.places)
        remote = recruiter.study(external_id)
    _steer(sessions, recruiter, recruitment_id, remote, wish)
    if wish == "stopped" and before is not None and before.state in ("draft", "paused", "ended"):
        _settle(sessions, recruiter, before, recruitment_id)


def _require_currency(recruiter: Recruiter, currency: str) -> None:
    theirs = recruiter.currency()
    if theirs != currency:
        raise Refused(f"The workspace pays in {theirs or 'no known currency'}, the study in {currency}.")


def _wish(session: Session, study: Study, protocol: Protocol, recruitment: Recruitment, fees: Fees) -> Wish:
    is_over = study.state == "closed" or study.finished_at is not None
    if is_over or not plan.is_current(recruitment, study, protocol, fees):
        return "stopped"
    has_work = plan.wants_people(study) and plan.has_work(session, study)
    return "open" if has_work and not is_stopped(session, study.id) else "paused"


def _steer(sessions: Sessions, recruiter: Recruiter, recruitment_id: int, remote: RemoteStudy, wish: Wish) -> None:
    """What ends recruiting is written down before the call, what begins it after: a study that is found paused or ended
    though we left it open was ended by somebody else."""
    match (remote.state, wish):
        case ("draft", "open"):
            recruiter.publish(remote.id)
            _record(sessions, recruitment_id, state="open")
        case ("paused", "open"):
            recruiter.resume(remote.id)
            _record(sessions, recruitment_id, state="open")
        case ("open", "paused"):
            _record(sessions, recruitment_id, state="paused")
            recruiter.pause(remote.id)
        case ("open" | "paused", "stopped"):
            _record(sessions, recruitment_id, state="stopped")
            recruiter.stop(remote.id)
        case (_, "stopped"):
            _record(sessions, recruitment_id, state="stopped")
        case ("open" | "ended", "open"):
            _record(sessions, recruitment_id, state="open")


def _record(sessions: Sessions, recruitment_id: int, **seen: str) -> None:
    with sessions.begin() as session:
        recruitment = session.get_one(Recruitment, recruitment_id, with_for_update=True)
        for name, value in seen.items():
            setattr(recruitment, name, value)


def _settle(sessions: Sessions, recruiter: Recruiter, ended: RemoteStudy, recruitment_id: int) -> None:
    """Free what nobody can be paid any more; when every submission is decided, close the book at what was charged."""
    with sessions.begin() as session:
        recruitment = session.get_one(Recruitment, recruitment_id, with_for_update=True)
        undecided = session.scalars(
            select(func.count()).where(Submission.recruitment_id == recruitment_id, Submission.status.not_in(DECIDED))
        ).one()
        undecided += ended.unlisted
        money.release_unused(session, recruitment=recruitment, still_possible=undecided)
    if undecided:
        return
    charged = recruiter.charged(ended.id)
    with sessions.begin() as session:
        recruitment = session.get_one(Recruitment, recruitment_id, with_for_update=True)
        money.settle(session, recruitment=recruitment, charged=charged)
        recruitment.settled_at = func.clock_timestamp()


def _draft(session: Session, study: Study, protocol: Protocol, recruitment: Recruitment, url: str) -> StudyDraft:
    earlier = session.scalars(
        select(Recruitment.external_id)
        .where(Recruitment.study_id == study.id, Recruitment.id != recruitment.id, Recruitment.external_id.is_not(None))
        .order_by(Recruitment.number)
    )
    return StudyDraft(
        reference=recruitment.reference,
        name=protocol.title,
        description=protocol.recruiting.description or protocol.question,
        url=url,
        reward=recruitment.reward,
        places=recruitment.places,
        minutes=protocol.assignment.minutes,
        maximum_minutes=protocol.assignment.deadline_minutes,
        devices=("desktop", "tablet", "mobile") if protocol.screening.touch else ("desktop",),
        codes=recruitment.codes,
        project=protocol.recruiting.project,
        signed_links=protocol.recruiting.signed_links,
        excluded_studies=tuple(filter(None, earlier)),
        excluded_group=protocol.recruiting.excluded_group,
    )
