"""Tallies; that they are right whatever happens is checked with the histories (`test_histories.py`)."""

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.db import Sessions
from app.domain.consensus import Drop, Rule
from app.services import study_lookup
from app.services.rounds import tallies
from app.services.rounds.tallies import Cell
from app.storage import LocalStorage
from tests.support.factories import make_study
from tests.support.oracle import naive_state


@settings(max_examples=1000, deadline=None)
@given(
    votes=st.lists(st.sampled_from([0, 0, 0, 1]), max_size=12),
    votes_per_round=st.integers(1, 4),
    drop=st.sampled_from(["dissent", "round_end", "none"]),
    round_number=st.integers(1, 5),
)
def test_what_the_rounds_want_is_what_the_items_need(
    votes: list[int], votes_per_round: int, drop: Drop, round_number: int
) -> None:
    """Also of items that are ahead of the study."""
    rule = Rule(rounds=5, votes_per_round=votes_per_round, min_votes=1, drop=drop)
    dropped_round, need = naive_state(votes, rule, round_number)
    cell = Cell(dropped_round, len(set(votes)) == 2, len(votes), items=3)
    wanted = [
        tallies.wanted_in(cell, number, votes_per_round, round_=round_number, drop=drop)
        for number in range(1, round_number + 1)
    ]
    assert sum(wanted) == 3 * need


def test_what_a_lost_connection_counted_stays(sessions: Sessions, storage: LocalStorage) -> None:
    slug = make_study(sessions, storage, items=5, is_open=False)
    with sessions.begin() as session:
        study = study_lookup.by_slug(session, slug).id
        # As two connections that are gone: no process has such an id.
        session.execute(text("UPDATE pool_tallies SET backend = -1, items = 7 WHERE study_id = :id"), {"id": study})
        more = "(:id, 'train', 0, 0, 0, -2, -2), (:id, 'train', 0, 1, 0, -1, 1), (:id, 'train', 0, 1, 0, 0, -1)"
        session.execute(text(f"INSERT INTO pool_tallies VALUES {more}"), {"id": study})
        for _ in range(2):
            tallies.fold(session)
            rows = session.execute(text("SELECT backend, items FROM pool_tallies WHERE study_id = :id"), {"id": study})
            assert [tuple(row) for row in rows] == [(0, 5)]
            assert tallies.pools(session, [study]) == {study: [Cell(None, False, 0, 5)]}
