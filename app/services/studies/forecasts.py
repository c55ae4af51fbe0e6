"""The forecast of a study: its protocol, its pool, and the rounds it has behind it."""

from sqlalchemy.orm import Session

from app.domain.forecast import ClosedRound, Forecast, Pilot, forecast
from app.domain.protocol import Protocol
from app.models.studies import Study
from app.services.studies.status import StudyStatus, study_status
from app.services.study_lookup import current_protocol


def forecast_study(session: Session, study: Study, *, pilot: Pilot | None = None) -> Forecast:
    """What the study still takes, as the rounds that are closed let one expect."""
    protocol = current_protocol(session, study.id)
    return forecast_from(study_status(session, study, protocol=protocol), protocol, pilot=pilot)


def forecast_from(status: StudyStatus, protocol: Protocol, *, pilot: Pilot | None = None) -> Forecast:
    closed = [ClosedRound(row.entered, row.survivors) for row in status.by_round if row.closed_at is not None]
    return forecast(protocol, items=status.items, pilot=pilot, closed=closed)
