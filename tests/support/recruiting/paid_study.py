"""A whole paid study against the fake: people come, some return or run out of time, and the books are checked."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select, text, update

from app.db import Sessions
from app.domain.money import Fees, load_fees
from app.errors import Forbidden, Gone, NothingNow
from app.keys import Keys
from app.models.assignments import Assignment
from app.models.items import Slot
from app.models.money import Bonus, Budget, LedgerEntry
from app.models.recruiting import Recruitment, Submission
from app.models.studies import Study
from app.recruiters.entry import Arrival
from app.recruiters.recruiter import Recruiter
from app.services import study_lookup
from app.services.assignments import enrolment, lifecycle
from app.services.recruiting import plan
from app.services.recruiting.reconcile import LookReport, look
from app.services.rounds import rounds
from simulation.prolific.marketplace import FakeSubmission
from simulation.prolific.server import FakeProlific
from tests.support.assignments import Choose, answer

PUBLIC_URL = "https://lab.example"
TERMS: list[Fees] = load_fees()


SMALL = {
    "recruiting__recruiter": "prolific",
    "assignment__trials": 8,
    "assignment__practice": 0,
    "assignment__sentinels": 0,
    "assignment__sentinel_misses_allowed": 0,
}


def agree(item: object) -> int:
    """Everybody chooses the first candidate: no item is ever dropped."""
    return 0


@dataclass
class Fates:
    """Shares of the people who take a place: give it back before or after coming, run out of time, come twice (a
    second tab), leave without finishing."""

    returned_early: float = 0.0
    returned_late: float = 0.0
    timed_out: float = 0.0
    twice: float = 0.0


@dataclass
class PaidStudy:
    sessions: Sessions
    keys: Keys
    recruiter: Recruiter
    fake: FakeProlific
    slug: str
    choose: Choose
    fates: Fates = field(default_factory=Fates)
    terms: list[Fees] = field(default_factory=lambda: TERMS)
    seed: int = 1
    people: int = 0
    reports: list[LookReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        with self.sessions.begin() as session:
            plan.begin(session, study=study_lookup.by_slug(session, self.slug), terms=self.terms, today=self.today)
        with self.sessions() as session:
            self.study_id = study_lookup.by_slug(session, self.slug).id

    @property
    def today(self) -> date:
        return datetime.now(UTC).date()

    def look(self) -> LookReport:
        report = look(self.sessions, self.keys, self.recruiter, slug=self.slug, public_url=PUBLIC_URL, terms=self.terms)
        self.reports.append(report)
        with self.sessions.begin() as session:
            rounds.advance(session, study_id=self.study_id)
        return report

    def arrive(self, submission: FakeSubmission) -> str | None:
        """The token of the sitting; None if there is nothing to judge, and the person gives the place back."""
        arrival = Arrival(self.recruiter.name, submission.participant, submission.id, study=submission.study)
        try:
            with self.sessions.begin() as session:
                study = study_lookup.by_slug(session, self.slug)
                return enrolment.sign_up(session, self.keys, study=study, arrival=arrival).token
        except (Gone, NothingNow):
            self.fake.marketplace.end(submission.id, "RETURNED")
            return None

    def come(self, *, most: int = 12) -> int:
        """Whoever finds a place takes it and meets their fate; returns how many came."""
        came = 0
        for study_id in list(self.fake.marketplace.studies):
            while came < most and (submission := self.fake.marketplace.take_place(study_id)) is not None:
                came += 1
                self.meet_fate(submission)
        self.people += came
        return came

    def meet_fate(self, submission: FakeSubmission) -> None:
        market, draw, fates = self.fake.marketplace, self.rng.random(), self.fates
        if draw < fates.returned_early:
            market.end(submission.id, "RETURNED")
            return
        token = self.arrive(submission)
        if token is None:
            return
        draw -= fates.returned_early
        if draw < fates.timed_out:
            answer(self.sessions, token, self.choose, most=2)
            market.end(submission.id, "TIMED-OUT")
            return
        if self.rng.random() < fates.twice:
            assert self.arrive(submission) == token
            self.expect_forbidden(submission)
        answer(self.sessions, token, self.choose)
        with self.sessions.begin() as session:
            code = lifecycle.complete(session, token=token).completion_code
        market.submit(submission.id, code)
        if draw < fates.timed_out + fates.returned_late:
            market.end(submission.id, "RETURNED")

    def expect_forbidden(self, submission: FakeSubmission) -> None:
        arrival = Arrival(self.recruiter.name, "somebody-else", submission.id, study=submission.study)
        try:
            with self.sessions.begin() as session:
                enrolment.sign_up(session, self.keys, study=study_lookup.by_slug(session, self.slug), arrival=arrival)
        except Forbidden:
            return
        raise AssertionError("another person got somebody's sitting")

    def run(self, *, most_looks: int = 400) -> None:
        """Looks and arrivals in turn, until the study is finished and every book closed."""
        for _ in range(most_looks):
            self.look()
            if self.is_settled():
                return
            self.come()
            self.expire_leases()
        raise AssertionError(f"not settled after {most_looks} looks: {self.reports[-1]}")

    def expire_leases(self) -> None:
        """Time passes for those who never finished."""
        past = func.clock_timestamp() - timedelta(seconds=1)
        with self.sessions.begin() as session:
            active = (Assignment.study_id == self.study_id, Assignment.state == "active")
            session.execute(update(Assignment).where(*active).values(deadline=past))
            unfinished = select(Assignment.id).where(*active)
            session.execute(
                update(Slot).where(Slot.assignment_id.in_(unfinished), Slot.state == "leased").values(leased_until=past)
            )
        with self.sessions.begin() as session:
            lifecycle.expire_overdue(session)
            rounds.release_expired_leases(session, study_id=self.study_id)

    def is_settled(self) -> bool:
        with self.sessions() as session:
            study = session.get_one(Study, self.study_id)
            is_over = study.finished_at is not None or study.state == "closed"
            return is_over and not plan.recruitments(session, self.study_id)

    # --- the books ------------------------------------------------------------------------------------------------

    def check_books(self) -> None:
        """Ledger, budget and recruiter agree to the penny; nothing is paid twice; the cap holds."""
        market = self.fake.marketplace
        with self.sessions() as session:
            budget = session.get_one(Budget, self.study_id)
            sums = session.execute(
                select(
                    func.coalesce(func.sum(LedgerEntry.committed), 0),
                    func.coalesce(func.sum(LedgerEntry.spent), 0),
                    func.coalesce(func.sum(LedgerEntry.outside), 0),
                ).where(LedgerEntry.study_id == self.study_id)
            ).one()
            assert tuple(sums) == (budget.committed, budget.spent, budget.outside)
            assert budget.committed + budget.spent <= budget.cap
            charged = 0
            for recruitment in session.scalars(select(Recruitment).where(Recruitment.study_id == self.study_id)):
                if recruitment.external_id is not None:
                    charged += market.charged(recruitment.external_id)
            rewarded = session.scalar(
                select(func.count())
                .select_from(LedgerEntry)
                .where(LedgerEntry.study_id == self.study_id, LedgerEntry.kind == "reward")
            )
            studies_there = set(
                session.scalars(select(Recruitment.external_id).where(Recruitment.study_id == self.study_id))
            )
            approved = [
                one for one in market.submissions.values() if one.status == "APPROVED" and one.study in studies_there
            ]
            assert budget.cap >= charged
            if self.is_settled():
                assert budget.committed == 0
                assert budget.spent + budget.outside == charged
                assert rewarded == len(approved)

    def check_votes(self) -> None:
        """Every item has its votes, nobody saw one twice, and who completed was paid."""
        with self.sessions() as session:
            study = session.get_one(Study, self.study_id)
            missing = session.scalar(
                select(func.count())
                .select_from(Slot)
                .where(Slot.study_id == study.id, Slot.state.in_(["open", "leased"]))
            )
            assert missing == 0
            counts = session.execute(
                text("""
                    SELECT i.votes_0 + i.votes_1 AS counted, i.dropped_round, (
                        SELECT count(*) FROM judgments j JOIN trials t ON t.id = j.trial_id
                        WHERE t.item_id = i.id AND NOT j.late AND NOT EXISTS (
                            SELECT FROM exclusions e
                            WHERE e.assignment_id = t.assignment_id AND e.reinstated_at IS NULL)
                    ) AS votes
                    FROM items i WHERE i.study_id = :study AND i.role = 'pool'
                """),
                {"study": study.id},
            ).all()
            assert all(row.counted == row.votes for row in counts)
            assert all(row.votes >= study.round for row in counts if row.dropped_round is None)
            unpaid = session.scalars(
                select(Assignment.id)
                .outerjoin(Submission, Submission.assignment_id == Assignment.id)
                .where(
                    Assignment.study_id == study.id,
                    Assignment.state == "completed",
                    Submission.status.is_distinct_from("APPROVED"),
                    Submission.status.is_distinct_from("RETURNED"),
                    Submission.status.is_distinct_from("REJECTED"),
                )
            ).all()
            assert unpaid == []

    def bonuses_paid(self) -> int:
        with self.sessions() as session:
            paid = select(func.count()).select_from(LedgerEntry).join(Bonus, Bonus.id == LedgerEntry.bonus_id)
            return session.scalars(paid.where(Bonus.study_id == self.study_id, LedgerEntry.kind == "bonus_paid")).one()
