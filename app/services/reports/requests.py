"""Reports that are asked for in the dashboard or by a program: a worker makes them, and what it made is handed out."""

from dataclasses import asdict, dataclass

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import Conflict, LookalikeError, NotFound
from app.models.quality import Report
from app.models.studies import Study
from app.queue import defer_report
from app.services import audit
from app.services.reports.statistics import study_report
from app.services.reports.summary import DIGESTS, Drawn, ReportSummary, summary_of
from app.services.rounds import tallies
from app.services.study_lookup import current_protocol

RETRY = {"Retry-After": "2"}
"""While a report is being made."""
log = structlog.get_logger()


def request_report(session: Session, *, study: Study) -> Report:
    """Have a report made of the votes as they then are; if one is to be made already, it is that one.

    Raises:
        Conflict: there are no valid votes yet.
    """
    if not valid_votes(session, study):
        raise Conflict(f"The study {study.slug!r} has no valid votes yet, so there is nothing to report.")
    anew = {"asked_by": audit.actor_of(session) or "", "asked_at": func.clock_timestamp()}
    asked = session.scalar(
        insert(Report)
        .values(study_id=study.id, **anew)
        .on_conflict_do_update(
            index_elements=["study_id", text("(state = 'done')")],
            set_=anew | {"state": "waiting", "problem": None, "finished_at": None},
            where=Report.state == "failed",
        )
        .returning(Report.id)
    )
    if asked is not None:
        defer_report(session, report_id=asked)
        audit.record(session, "asked for a report", study=study)
    return session.scalars(select(Report).where(Report.study_id == study.id, Report.state != "done")).one()


@dataclass(frozen=True)
class ReportStatus:
    """The report there is, and the one asked for since, which waits, is under way or has failed."""

    made: Report | None
    to_come: Report | None


def report_status(session: Session, study: Study) -> ReportStatus:
    reports = session.scalars(select(Report).where(Report.study_id == study.id)).all()
    return ReportStatus(
        made=next((report for report in reports if report.state == "done"), None),
        to_come=next((report for report in reports if report.state != "done"), None),
    )


def made(session: Session, study: Study) -> Report:
    """The report there is. Raises NotFound, saying what is to be done."""
    now = report_status(session, study)
    if now.made is not None:
        return now.made
    if now.to_come is None:
        raise NotFound(f"No report of the study {study.slug!r} has been made yet: ask for one.")
    if now.to_come.state == "failed":
        raise NotFound(f"No report of the study {study.slug!r} could be made: {now.to_come.problem}")
    coming = NotFound(f"The first report of the study {study.slug!r} is being made: look again soon.")
    coming.headers = dict(RETRY)
    raise coming


def summary(session: Session, report: Report) -> ReportSummary:
    return DIGESTS.validate_python(session.scalars(select(Report.digest).where(Report.id == report.id)).one())


def document(session: Session, report: Report) -> str:
    """All of it, as JSON."""
    as_text = text("SELECT CAST(document AS text) FROM reports WHERE id = :report")
    return str(session.scalars(as_text, {"report": report.id}).one())


def page(session: Session, report: Report) -> str:
    """The HTML file that opens by itself."""
    return str(session.scalars(select(Report.page).where(Report.id == report.id)).one())


def valid_votes(session: Session, study: Study) -> int:
    return tallies.votes(tallies.pools(session, [study.id])[study.id])


def run(sessions: Sessions, *, report_id: int) -> None:
    """Make the report that was asked for; what goes wrong is told where it was asked for. Begun twice, because a worker
    is gone or an administrator retries, it is made anew."""
    with sessions.begin() as session:
        report = session.get(Report, report_id, with_for_update=True)
        if report is None or report.state == "done":
            return
        report.state, report.problem, report.finished_at = "running", None, None
        study_id = report.study_id
    try:
        contents = _make(sessions, study_id)
    except LookalikeError as error:
        _fail(sessions, report_id, error.message)
    except OperationalError:  # the job is done again once the database is back
        raise
    except Exception:
        log.exception("a report failed", report=report_id)
        _fail(sessions, report_id, "Something went wrong; the worker's log says what.")
        raise
    else:
        with sessions.begin() as session:
            session.execute(delete(Report).where(Report.study_id == study_id, Report.state == "done"))
            _end(session, report_id, state="done", **contents)


def _make(sessions: Sessions, study_id: int) -> dict[str, object]:
    # Here and not above: drawing is slow to load, and whoever only asks for a report or reads one needs none of it.
    from app.services.reports.charts import figures_of
    from app.services.reports.page import report_html

    with sessions() as session:
        # Every number from the same moment, while people go on voting.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        study = session.get_one(Study, study_id)
        report = study_report(session, study)
        votes, protocol = valid_votes(session, study), current_protocol(session, study_id)
    figures = figures_of(report)
    drawn = {name: Drawn(figure.spec, figure.on_page()) for name, figure in figures.items()}
    return {
        "document": asdict(report),
        "digest": asdict(summary_of(report, votes=votes, figures=drawn)),
        "page": report_html(report, protocol),
    }


def _fail(sessions: Sessions, report_id: int, problem: str) -> None:
    with sessions.begin() as session:
        _end(session, report_id, state="failed", problem=problem)


def _end(session: Session, report_id: int, **values: object) -> None:
    """Nothing if it is no longer wanted: whoever is erased is in no report that was begun before."""
    ended = values | {"finished_at": func.clock_timestamp()}
    session.execute(update(Report).where(Report.id == report_id, Report.state == "running").values(**ended))
