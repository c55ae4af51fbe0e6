"""Tallies; that they are right whatever happens is checked with the histories (`test_histories.py`)."""

from sqlalchemy import text

from app.db import Sessions
from app.services import studies, tallies
from app.services.tallies import Cell
from app.storage import LocalStorage
from tests.factories import make_study


def test_what_a_lost_connection_counted_stays(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=5, is_open=False)
    with sessions.begin() as session:
        study = studies.by_slug(session, slug).id
        # As two connections that are gone: no process has such an id.
        session.execute(text("UPDATE pool_tallies SET backend = -1, items = 7 WHERE study_id = :id"), {"id": study})
        session.execute(text("INSERT INTO pool_tallies VALUES (:id, 0, false, 0, -2, -2)"), {"id": study})
        for _ in range(2):
            tallies.fold(session)
            rows = session.execute(text("SELECT backend, items FROM pool_tallies WHERE study_id = :id"), {"id": study})
            assert [tuple(row) for row in rows] == [(0, 5)]
            assert tallies.pools(session, [study]) == {study: [Cell(None, False, 0, 5)]}
