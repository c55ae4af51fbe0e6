"""Our record and the recruiter's, brought together and compared; or what that would do, found out without doing it.

The rehearsal is the look itself, with two differences. The recruiter has been asked everything beforehand, and what
would change something there is written down instead of asked. And all of it happens in one transaction that is taken
back, short because nobody outside is waited for in it.
"""

from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.db import Sessions
from app.domain.money import load_fees
from app.keys import Keys
from app.recruiters.configured import calling
from app.services.recruiting import alerts, plan
from app.services.recruiting.dry_run import DryRunRecruiter
from app.services.recruiting.reconcile import LookReport, look, look_at, one_at_a_time, ready_recruiter
from app.services.recruiting.status import Pair, side_by_side
from app.services.study_lookup import by_slug, current_protocol
from app.settings import Settings


@dataclass
class Reconciliation:
    """What a look found, and how both sides differ after it. `refusals` stop recruiting until a human has looked. Of a
    dry run: what it `would` do at the recruiter, and the `notices` that it would write here."""

    report: LookReport
    differences: list[Pair]
    refusals: list[str]
    would: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether everything that the recruiter has of the study was read. A study that it refused has nothing there,
        which is no agreement."""
        report = self.report
        failed = report.problems or report.refused or report.read < report.at_recruiter
        return not failed and not (self.refusals and not report.read)


def reconcile(sessions: Sessions, keys: Keys, settings: Settings, *, slug: str) -> Reconciliation:
    """Raises what `look_at` raises."""
    report = look_at(sessions, keys, settings, slug=slug)
    with sessions() as session:
        return _compared(session, report, slug)


def rehearse(sessions: Sessions, keys: Keys, settings: Settings, *, slug: str) -> Reconciliation:
    """Raises what `look_at` raises."""
    with sessions() as session:
        recruiter_name = ready_recruiter(session, settings, slug=slug)
        study_id = by_slug(session, slug).id
        protocol = current_protocol(session, study_id)
    terms = load_fees(settings.fees)
    engine: Engine = sessions.kw["bind"]
    with one_at_a_time(sessions), calling(settings, recruiter_name) as recruiter:
        dry = DryRunRecruiter(recruiter, currency=protocol.pay.currency)
        with sessions() as session:
            known = plan.recruitments(session, study_id)
            session.expunge_all()
        dry.ask_everything(known, project=protocol.recruiting.project)
        with engine.connect() as connection, connection.begin() as everything:
            inside = sessionmaker(
                connection, class_=Session, join_transaction_mode="create_savepoint", expire_on_commit=False
            )
            with inside() as session:
                before = _unresolved(session, study_id)
            report = look(inside, keys, dry, slug=slug, public_url=settings.public_url, terms=terms)
            with inside() as session:
                found = _compared(session, report, slug)
                found.notices = [message for message in _unresolved(session, study_id) if message not in before]
            everything.rollback()
    found.would = dry.would
    return found


def _compared(session: Session, report: LookReport, slug: str) -> Reconciliation:
    study = by_slug(session, slug)
    refusals = [one.message for one in alerts.unresolved(session, study.id) if one.kind == "refused"]
    return Reconciliation(report, side_by_side(session, study=study), refusals)


def _unresolved(session: Session, study_id: int) -> list[str]:
    return [f"{notice.kind}: {notice.message}" for notice in alerts.unresolved(session, study_id)]
