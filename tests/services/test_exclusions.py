"""Excluding and reinstating in any order, closed rounds included: the state is always the naive oracle's."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from app.db import Sessions
from app.errors import Conflict
from app.keys import Keys, token_sha256
from app.models.assignments import Assignment
from app.models.items import Item, Slot
from app.services import study_lookup
from app.services.assignments import judgments, lifecycle
from app.services.assignments.exclusions import Consequence, exclude_by_hand, preview, reinstate_by_hand
from app.services.assignments.judgments import Answer
from app.services.items import browse
from app.services.items import history as item_history
from app.services.reports.statistics import study_report
from app.services.rounds import rounds
from app.services.studies import lifecycle as study_lifecycle
from app.services.study_lookup import current_protocol
from app.storage import LocalStorage
from tests.services.test_histories import History
from tests.support.assignments import sign_up, sit
from tests.support.factories import make_study

NO_CHECKS = {"assignment__practice": 0, "assignment__sentinels": 0, "assignment__sentinel_misses_allowed": 0}
DECISIONS = 30


class Decided(History):
    """A history in which a person decides, after having been told what would come of it."""

    def exclude_or_reinstate(self) -> None:
        chosen = self.rng.choice(sorted(set(self.tokens) - self.withdrawn))
        is_excluded = chosen in self.excluded
        first, repeated = (reinstate_by_hand, exclude_by_hand) if is_excluded else (exclude_by_hand, reinstate_by_hand)
        with pytest.raises(Conflict):
            repeated(self.session, assignment_id=chosen, reason="once more", actor="test")
        told = preview(self.session, assignment=self.session.get_one(Assignment, chosen))
        alive, wanted = self.alive(), self.wanted()
        first(self.session, assignment_id=chosen, reason="looked again", actor="test")
        self.excluded ^= {chosen}
        assert told == Consequence(
            returned=len(self.alive() - alive), dropped=len(alive - self.alive()), votes_wanted=self.wanted() - wanted
        )

    def alive(self) -> set[int]:
        return set(self.session.scalars(self._pool().where(Item.dropped_round.is_(None))))

    def wanted(self) -> int:
        """Slots that wait for a vote."""
        pending = Slot.item_id.in_(self._pool()), Slot.state.in_(rounds.PENDING)
        return self.session.scalar(select(func.count()).select_from(Slot).where(*pending)) or 0

    def _pool(self) -> Select[int]:
        return select(Item.id).where(Item.study_id == self.study.id)


@pytest.mark.parametrize("drop", ["dissent", "round_end", "none"])
@pytest.mark.parametrize("ends", ["finished", "closed"])
def test_after_every_decision_every_item_is_the_oracles(
    sessions: Sessions, storage: LocalStorage, keys: Keys, drop: str, ends: str
) -> None:
    settings = {"drop": drop, "rounds": 4, "votes_per_round": 2, "min_votes": 1, "assignment__trials": 10}
    slug = make_study(sessions, storage, items=24, **settings, **NO_CHECKS)
    with sessions() as session:
        history = Decided(session, keys, slug, seed=len(drop + ends))
        while history.study.round < 3:
            history.sign_up()
            for _ in range(3):
                history.vote()
            history.advance()
        for _ in range(DECISIONS // 2):  # rounds 1 and 2 are closed, round 3 is not
            history.exclude_or_reinstate()
            history.check()
            history.step()
        if ends == "closed":
            study_lifecycle.close(session, slug=slug)
        else:
            history.finish()
        for _ in range(DECISIONS // 2):
            history.exclude_or_reinstate()
            history.check()
        for assignment in sorted(history.excluded - history.withdrawn):
            reinstate_by_hand(session, assignment_id=assignment, reason="all of them", actor="test")
        history.excluded &= history.withdrawn
        history.check()
        session.rollback()


def test_a_dissent_ahead_of_the_round_asks_for_the_rest_of_it(
    sessions: Sessions, storage: LocalStorage, keys: Keys
) -> None:
    """Two votes agree; a third, in the place of one that came back meanwhile, does not: `round_end` wants a fourth."""
    settings = {"drop": "round_end", "rounds": 2, "votes_per_round": 2, "min_votes": 1, "assignment__trials": 1}
    slug = make_study(sessions, storage, items=1, **settings, **NO_CHECKS)

    def vote(token: str, choice: int) -> None:
        with sessions.begin() as session:
            (trial,) = lifecycle.progress(session, lifecycle.by_token(session, token)).open
            side = "left" if choice == trial.left_candidate else "right"
            judgments.record(session, token=token, answers=[Answer(trial.id, (side,))])

    first = sign_up(sessions, keys, slug, f"{slug}-1")
    vote(first, 0)
    vote(sign_up(sessions, keys, slug, f"{slug}-2"), 0)
    with sessions.begin() as session:
        number = lifecycle.by_token(session, first).id
        exclude_by_hand(session, assignment_id=number, reason="looked odd", actor="test")
    third = sign_up(sessions, keys, slug, f"{slug}-3")
    with sessions.begin() as session:
        reinstate_by_hand(session, assignment_id=number, reason="was not", actor="test")
    vote(third, 1)
    vote(sign_up(sessions, keys, slug, f"{slug}-4"), 0)
    with sessions() as session:
        item = session.scalars(select(Item).where(Item.study_id == study_lookup.by_slug(session, slug).id)).one()
        assert (item.votes_0, item.votes_1, item.dropped_round) == (3, 1, 2)


def test_a_clock_set_back_changes_no_fate(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Two votes agree, the third does not, though by the clock it came first: the item fell in round 3, whoever is
    excluded and reinstated, and wherever its votes are shown in their order."""
    slug = make_study(sessions, storage, items=1, rounds=4, min_votes=1, assignment__trials=1, **NO_CHECKS)
    tokens = []
    for person, (choice, behind) in enumerate([(0, "0"), (0, "20 minutes"), (1, "1 hour")]):
        tokens.append(sit(sessions, keys, slug, f"{slug}-{person}", lambda _, choice=choice: choice))
        with sessions.begin() as session:
            _set_back(session, tokens[-1], behind)
    with sessions() as session:
        study = study_lookup.by_slug(session, slug)
        item = session.scalars(select(Item).where(Item.study_id == study.id, Item.role == "pool")).one()
        people = [lifecycle.by_token(session, token) for token in tokens]
        for person in people:
            exclude_by_hand(session, assignment_id=person.id, reason="looked odd", actor="test")
            told = preview(session, assignment=person)
            reinstate_by_hand(session, assignment_id=person.id, reason="was not", actor="test")
            session.expire(item)
            assert (item.votes_0, item.votes_1, item.first_dissent, item.dropped_round) == (2, 1, 3, 3)
            assert told.dropped == (1 if person is people[2] else 0)
        assert [vote.choice for vote in browse.votes_on(session, item)] == [0, 0, 1]
        rule = current_protocol(session, study.id).rule
        assert [turn.round for turn in item_history.history(session, item, rule)] == [3, 2, 3, 2, 3, None, 3]
        unanimous = study_report(session, study).filter
        assert unanimous is not None
        assert [(step.votes, step.items) for step in unanimous.unanimous] == [(1, 1), (2, 1)]


def test_a_clock_set_back_changes_no_announcement(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Two votes agree, a third in round 2 does not: `round_end` waits for a fourth. By the clock the third came first,
    and the item would have fallen in round 1."""
    settings = {"drop": "round_end", "rounds": 2, "votes_per_round": 2, "min_votes": 1, "assignment__trials": 1}
    slug = make_study(sessions, storage, items=1, **settings, **NO_CHECKS)
    tokens = [
        sit(sessions, keys, slug, f"{slug}-{person}", lambda _, choice=person // 2: choice) for person in range(3)
    ]
    with sessions.begin() as session:
        _set_back(session, tokens[2], "1 hour")
    with sessions() as session:
        told = preview(session, assignment=lifecycle.by_token(session, tokens[2]))
    assert told == Consequence(returned=0, dropped=0, votes_wanted=1)


def _set_back(session: Session, token: str, behind: str) -> None:
    """As if the clock had been so much behind when the votes of this sitting came."""
    session.execute(
        text("""UPDATE judgments SET received_at = received_at - CAST(:behind AS interval)
                FROM trials t JOIN assignments a ON a.id = t.assignment_id
                WHERE trial_id = t.id AND a.token_sha256 = :token"""),
        {"behind": behind, "token": token_sha256(token)},
    )


def test_deciding_while_they_vote(sessions: Sessions, storage: LocalStorage, keys: Keys) -> None:
    """Every vote is counted in or out, whichever came first."""
    settings = {"drop": "none", "rounds": 2, "votes_per_round": 3, "min_votes": 1, "assignment__trials": 12}
    slug = make_study(sessions, storage, items=24, **settings, **NO_CHECKS)
    tokens = [sign_up(sessions, keys, slug, f"{slug}-{person}") for person in range(6)]
    with sessions() as session:
        study = study_lookup.by_slug(session, slug).id
        people = [lifecycle.by_token(session, token) for token in tokens]
        numbers = {token: person.id for token, person in zip(tokens, people, strict=True)}
        trials = {token: lifecycle.progress(session, person).open for token, person in zip(tokens, people, strict=True)}

    def vote(token: str) -> None:
        for trial in trials[token]:
            with sessions.begin() as session:
                judgments.record(session, token=token, answers=[Answer(trial.id, ("left",))])

    def decide(token: str) -> None:
        rng = random.Random(token)
        for turn in range(7):
            by_hand = reinstate_by_hand if turn % 2 else exclude_by_hand
            with sessions.begin() as session:
                by_hand(session, assignment_id=numbers[token], reason="a race", actor="test")
            if rng.random() < 0.5:
                with sessions.begin() as session:
                    rounds.advance(session, study_id=study)

    with ThreadPoolExecutor(12) as threads:
        racing = [threads.submit(act, token) for token in tokens for act in (vote, decide)]
        for race in racing:
            race.result()
    with sessions.begin() as session:
        for token in tokens[::2]:
            reinstate_by_hand(session, assignment_id=numbers[token], reason="over", actor="test")
        counted = "SELECT id, votes_0 + votes_1 AS votes FROM items WHERE study_id = :study AND role = 'pool'"
        items = {row.id: row.votes for row in session.execute(text(counted), {"study": study})}
        valid = "SELECT item_id FROM trials t JOIN judgments j ON j.trial_id = t.id WHERE assignment_id = ANY(:valid)"
        for item in session.scalars(text(valid), {"valid": [numbers[token] for token in tokens[::2]]}):
            items[item] -= 1
    assert set(items.values()) == {0}
