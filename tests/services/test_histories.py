"""Random histories of whole studies through the real services, compared item by item with the naive oracle.

A history signs people up, votes in random order, lets leases run out, withdraws, excludes and reinstates, sets the
clock back, and closes rounds. The test keeps its own books, in which it, not the database, decides which votes came in
time.
"""

import random
from datetime import timedelta
from itertools import product
from typing import get_args

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.dealing import draw_key, left_candidate
from app.errors import Gone, NothingNow
from app.keys import Keys
from app.models.assignments import Assignment, Judgment, Trial
from app.models.items import Item, Slot
from app.models.studies import Study
from app.recruiters.entry import Arrival
from app.services import study_lookup
from app.services.assignments import enrolment, judgments, lifecycle
from app.services.assignments.exclusions import exclude, reinstate
from app.services.assignments.judgments import Answer
from app.services.exports.queries import ExportSelection, Snapshot, Split
from app.services.items.history import history as history_of
from app.services.rounds import rounds, tallies
from app.services.studies.status import study_status
from app.services.study_lookup import current_protocol
from app.storage import LocalStorage
from tests.support.factories import make_study
from tests.support.oracle import NaiveItem, NaiveVote, naive_state

ITEMS = 40
STEPS = 140


class History:
    """One study, the services that act on it, and the test's own books about it."""

    def __init__(self, session: Session, keys: Keys, slug: str, seed: int) -> None:
        self.session = session
        self.keys = keys
        self.rng = random.Random(seed)
        self.study = study_lookup.by_slug(session, slug)
        self.rule = current_protocol(session, self.study.id).rule
        pool = session.scalars(select(Item.id).where(Item.study_id == self.study.id, Item.role == "pool")).all()
        self.items = {item: NaiveItem() for item in pool}
        self.holder: dict[int, int] = {}  # slot → the assignment that it was last dealt to
        self.unanswered: dict[int, list[Trial]] = {}  # assignment → its open pool trials
        self.tokens: dict[int, str] = {}
        self.excluded: set[int] = set()
        self.withdrawn: set[int] = set()
        for item in session.scalars(select(Item).where(Item.id.in_(pool))):
            item.split = self.rng.choice(get_args(Split))
        self.opinion = {item: self.rng.getrandbits(1) for item in self.items}
        self.clock_behind = timedelta()

    def sign_up(self) -> None:
        name = f"{self.study.slug}-{len(self.tokens)}"
        try:
            token = enrolment.sign_up(
                self.session, self.keys, study=self.study, arrival=Arrival("direct", name, name)
            ).token
        except (Gone, NothingNow):
            return
        assignment = lifecycle.by_token(self.session, token).id
        trials = self.session.scalars(
            select(Trial).where(Trial.assignment_id == assignment, Trial.slot_id.is_not(None))
        ).all()
        assert len({trial.item_id for trial in trials}) == len(trials), "one slot per item"
        self.tokens[assignment], self.unanswered[assignment] = token, list(trials)
        for trial in trials:
            assert trial.slot_id is not None
            self.holder[trial.slot_id] = assignment

    def vote(self) -> None:
        open_ones = [a for a, trials in self.unanswered.items() if trials and a not in self.withdrawn]
        if not open_ones:
            return
        assignment = self.rng.choice(open_ones)
        for _ in range(self.rng.randint(1, 8)):
            trials = self.unanswered[assignment]
            if not trials:
                break
            trial = trials.pop(self.rng.randrange(len(trials)))
            slot = self.session.get_one(Slot, trial.slot_id, populate_existing=True)
            in_time = self.holder.get(slot.id) == assignment and slot.state in ("leased", "open")
            choice = self.opinion[trial.item_id] ^ (self.rng.random() < 0.12)
            side = "left" if choice == trial.left_candidate else "right"
            judgments.record(self.session, token=self.tokens[assignment], answers=[Answer(trial.id, (side,))])
            self.session.execute(
                update(Judgment)
                .where(Judgment.trial_id == trial.id)
                .values(received_at=Judgment.received_at - self.clock_behind)
            )
            self.items[trial.item_id].votes.append(NaiveVote(assignment, int(choice), late=not in_time))

    def set_the_clock_back(self) -> None:
        """What is received from now on seems to have come before much that came before it."""
        self.clock_behind += timedelta(minutes=self.rng.uniform(1, 5))

    def let_a_lease_run_out(self) -> None:
        active = [a for a in self.tokens if a not in self.withdrawn]
        if active:
            past = func.clock_timestamp() - timedelta(seconds=1)
            chosen = self.rng.choice(active)
            self.session.execute(update(Assignment).where(Assignment.id == chosen).values(deadline=past))
            self.session.execute(
                update(Slot).where(Slot.assignment_id == chosen, Slot.state == "leased").values(leased_until=past)
            )
            self.session.expire_all()
            lifecycle.expire_overdue(self.session)
            rounds.release_expired_leases(self.session)

    def withdraw(self) -> None:
        active = [
            a
            for a in self.tokens
            if self.session.get_one(Assignment, a, populate_existing=True).state in ("active", "expired")
        ]
        if active and self.rng.random() < 0.5:
            chosen = self.rng.choice(active)
            lifecycle.withdraw(self.session, token=self.tokens[chosen])
            self.withdrawn.add(chosen)
            self.excluded.add(chosen)

    def exclude_or_reinstate(self) -> None:
        if self.tokens:
            chosen = self.rng.choice(list(self.tokens))
            assignment = self.session.get_one(Assignment, chosen)
            if chosen in self.excluded:
                reinstate(self.session, assignment=assignment, reason="looked again", actor="test")
                self.excluded.discard(chosen)
            else:
                exclude(self.session, assignment=assignment, reason="looked odd", actor="test")
                self.excluded.add(chosen)

    def advance(self) -> None:
        rounds.advance(self.session, study_id=self.study.id)

    def step(self) -> None:
        action = self.rng.choices(
            [
                self.sign_up,
                self.vote,
                self.let_a_lease_run_out,
                self.withdraw,
                self.exclude_or_reinstate,
                self.set_the_clock_back,
                self.advance,
            ],
            weights=[4, 12, 1, 0.5, 2, 1, 3],
        )[0]
        action()
        # A lease that ended with its slot closed is over for good, also if the slot opens again.
        closed = select(Slot.id).where(Slot.study_id == self.study.id, Slot.state == "closed")
        for slot in self.session.scalars(closed):
            self.holder.pop(slot, None)

    def check(self) -> None:
        """Every item is what the oracle says, and its slots are what it needs; the status sums them up."""
        self.session.expire_all()
        self.study = self.session.get_one(Study, self.study.id)
        slots: dict[int, list[Slot]] = {item: [] for item in self.items}
        for slot in self.session.scalars(select(Slot).where(Slot.study_id == self.study.id)):
            slots[slot.item_id].append(slot)
        votes = needed = survivors = 0
        for item in self.session.scalars(select(Item).where(Item.id.in_(self.items))):
            valid = self.items[item.id].valid(self.excluded)
            dropped_round, need = naive_state(valid, self.rule, self.study.round)
            assert (item.votes_0, item.votes_1) == (valid.count(0), valid.count(1))
            assert item.dropped_round == dropped_round
            turns = history_of(self.session, item, self.rule)
            assert (turns[-1].round if turns else None) == dropped_round
            states = [slot.state for slot in slots[item.id]]
            assert states.count("open") == max(0, need - states.count("leased"))
            self.check_sides(item, slots[item.id])
            votes, needed, survivors = votes + len(valid), needed + need, survivors + (dropped_round is None)
        status = study_status(self.session, self.study)
        assert (status.items, status.votes, status.survivors) == (len(self.items), votes, survivors)
        assert sum(row.wanted for row in status.by_round) == needed
        self.check_previews()
        states = self.session.scalars(select(Assignment.state).where(Assignment.study_id == self.study.id)).all()
        assert status.participants_now == states.count("active")

    def check_previews(self) -> None:
        """What tallies say that an export would hold is what it holds."""
        protocol = current_protocol(self.session, self.study.id)
        for split, only_kept in product(get_args(Split), (False, True)):
            choice = ExportSelection(self.rng.randint(1, 4), split, only_kept)
            with Snapshot(self.session, study_id=self.study.id, protocol=protocol, selection=choice) as snapshot:
                held = snapshot.counts()
            pool = tallies.pools(self.session, [self.study.id], split=split)[self.study.id]
            told = tallies.counts(pool, drop=protocol.drop, min_votes=choice.min_votes or 0, only_kept=only_kept)
            assert told.items() <= held.items()

    def check_sides(self, item: Item, slots: list[Slot]) -> None:
        assert item.number is not None
        for slot in slots:
            assert slot.left_candidate == left_candidate(self.study.seed, item.number, slot.ordinal)
            assert slot.draw == draw_key(self.study.seed, item.number, slot.ordinal)
        regular = [slot.ordinal for slot in slots if slot.replaces is None]
        assert sorted(regular) == list(range(1, len(regular) + 1))

    def finish(self) -> None:
        """Everybody still needed comes, until the study ends by itself."""
        while self.session.get_one(Study, self.study.id, populate_existing=True).finished_at is None:
            before = len(self.tokens)
            self.let_a_lease_run_out()
            self.sign_up()
            for assignment in list(self.tokens)[before:]:
                while self.unanswered[assignment]:
                    self.vote()
            self.advance()
            assert len(self.tokens) < 600, "the study does not come to an end"


@pytest.mark.parametrize("drop", ["dissent", "round_end", "none"])
@pytest.mark.parametrize(("votes_per_round", "rounds_wanted"), [(1, 5), (2, 3), (3, 2)])
@pytest.mark.parametrize("seed", range(2))
def test_items_and_slots_are_the_oracles(
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    drop: str,
    votes_per_round: int,
    rounds_wanted: int,
    seed: int,
) -> None:
    slug = make_study(
        sessions,
        storage,
        items=ITEMS,
        seed=seed,
        drop=drop,
        rounds=rounds_wanted,
        votes_per_round=votes_per_round,
        min_votes=1,
        assignment__trials=12,
        assignment__practice=0,
        assignment__sentinels=0,
        assignment__sentinel_misses_allowed=0,
    )
    with sessions() as session:
        history = History(session, keys, slug, seed)
        for step in range(STEPS):
            history.step()
            if step % 20 == 19:
                history.check()
        history.finish()
        history.check()
        session.rollback()
