"""What a look at the recruiter notices, and what it leaves to a human."""

from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, text, update
from typer.testing import CliRunner

from app.cli.main import cli
from app.db import Sessions
from app.errors import BadInput, Conflict, NotFound, Unavailable
from app.keys import Keys
from app.models.assignments import Assignment, Exclusion
from app.models.money import BonusBatch
from app.models.recruiting import Recruitment
from app.recruiters.entry import Arrival
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.services import money, study_lookup
from app.services.assignments import enrolment, lifecycle
from app.services.assignments.exclusions import in_force, reinstate_by_hand
from app.services.recruiting import alerts, bonuses, plan, review
from app.services.recruiting.reconcile import look_at, look_at_all
from app.services.recruiting.status import side_by_side, standing
from app.services.studies import lifecycle as study_lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from simulation.prolific.marketplace import FakeStudy
from simulation.prolific.server import TOKEN, FakeProlific
from tests.recruiting.conftest import IMPATIENT
from tests.support.assignments import answer
from tests.support.factories import make_study
from tests.support.recruiting.paid_study import SMALL, TERMS, Fates, PaidStudy, agree


@pytest.fixture
def paid(sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific) -> PaidStudy:
    """One look old: its study is published, with places for 24 items."""
    slug = make_study(sessions, storage, items=24, rounds=2, min_votes=2, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    return paid


def told(paid: PaidStudy) -> dict[str, str]:
    with paid.sessions() as session:
        found = alerts.unresolved(session, paid.study_id)
    return {kind: "\n".join(each.message for each in found if each.kind == kind) for kind in {n.kind for n in found}}


def at_recruiter(paid: PaidStudy) -> FakeStudy:
    return next(reversed(paid.fake.marketplace.studies.values()))


def resume(paid: PaidStudy) -> None:
    with paid.sessions.begin() as session:
        alerts.resolve(session, study_id=paid.study_id)


def test_places_are_what_the_round_needs(paid: PaidStudy) -> None:
    study = at_recruiter(paid)
    assert (study.status, study.places) == ("ACTIVE", 3)
    with paid.sessions() as session:
        assert money.balance(session, paid.study_id).committed == 3 * 183
    paid.look()
    assert study.places == 3, "nothing has changed"
    paid.come()
    paid.look()
    paid.look()
    assert study.places == 6, "the second round"


def test_how_it_stands(paid: PaidStudy) -> None:
    paid.come(most=2)
    for _ in range(2):
        paid.look()
    with paid.sessions() as session:
        now = standing(session, study=study_lookup.by_slug(session, paid.slug))
    assert (now.cap, now.spent, now.committed, now.places) == (50_000, 2 * 183, 183, 3)
    assert now.submissions == {"APPROVED": 2}
    assert now.pay is not None
    assert now.notices == []


def test_who_gives_a_place_back_needs_no_new_one(paid: PaidStudy) -> None:
    paid.fates = Fates(returned_early=1.0)
    for _ in range(5):
        paid.come(most=3)
        paid.look()
    assert at_recruiter(paid).places == 3


def test_submitted_but_not_completed_is_left_to_a_human(paid: PaidStudy) -> None:
    submission = paid.fake.marketplace.take_place(at_recruiter(paid).id)
    assert submission is not None
    paid.fake.marketplace.submit(submission.id, "GUESSED")
    paid.look()
    paid.look()
    assert submission.status == "AWAITING REVIEW"
    assert "nobody is rejected automatically" in told(paid)["review"]


def test_completed_here_but_not_yet_there_is_approved_later(paid: PaidStudy) -> None:
    market = paid.fake.marketplace
    submission = market.take_place(at_recruiter(paid).id)
    assert submission is not None
    token = paid.arrive(submission)
    assert token is not None
    answer(paid.sessions, token, agree)
    with paid.sessions.begin() as session:
        code = lifecycle.complete(session, token=token).completion_code
    assert code in {entry["code"] for entry in at_recruiter(paid).fields["completion_codes"]}
    paid.look()
    assert submission.status == "ACTIVE"
    market.submit(submission.id, code)
    paid.look()
    paid.look()
    assert submission.status == "APPROVED"
    late = market.take_place(at_recruiter(paid).id)
    assert late is not None
    token = paid.arrive(late)
    assert token is not None
    answer(paid.sessions, token, agree)
    with paid.sessions.begin() as session:
        lifecycle.complete(session, token=token)
    market.end(late.id, "TIMED-OUT")
    paid.look()
    assert "timed out at prolific" in told(paid)["unpaid"]


def test_made_up_parameters_are_found_out(paid: PaidStudy) -> None:
    market, study = paid.fake.marketplace, at_recruiter(paid)
    submission = market.take_place(study.id)
    assert submission is not None
    forged = [
        Arrival("prolific", "aaaa", "made-up", study=study.id),
        Arrival("prolific", "bbbb", submission.id, study=study.id),
    ]
    for arrival in forged:
        with paid.sessions.begin() as session:
            token = enrolment.sign_up(
                session, paid.keys, study=study_lookup.by_slug(session, paid.slug), arrival=arrival
            ).token
        answer(paid.sessions, token, agree)
        with paid.sessions.begin() as session:
            lifecycle.complete(session, token=token)
    market.submit(submission.id, None)
    with paid.sessions.begin() as session:
        session.execute(
            update(Assignment)
            .where(Assignment.study_id == paid.study_id)
            .values(created_at=func.clock_timestamp() - timedelta(hours=1))
        )
    paid.look()
    paid.look()
    assert submission.status == "AWAITING REVIEW", "the money is the real participant's, if anybody's"
    assert {"stranger", "impostor", "review"} <= set(told(paid))
    with paid.sessions() as session:
        excluded = session.scalars(
            select(Exclusion.reason)
            .join(Assignment, Assignment.id == Exclusion.assignment_id)
            .where(Assignment.study_id == paid.study_id)
            .order_by(Exclusion.assignment_id)
        ).all()
        assert excluded == ["unknown to prolific", "came under another participant's name"]
    with paid.sessions.begin() as session:
        stranger = session.scalars(
            select(Exclusion.assignment_id)
            .where(Exclusion.reason == "unknown to prolific")
            .join(Assignment)
            .where(Assignment.study_id == paid.study_id)
        ).one()
        reinstate_by_hand(session, assignment_id=stranger, reason="I know them.", actor="ada@example.org")
    assert paid.look().strangers == 0
    with paid.sessions() as session:
        assert in_force(session, stranger) is None, "a human has decided"


def test_a_link_with_somebody_elses_submission_moves_no_money(
    paid: PaidStudy, sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, deployed: Settings
) -> None:
    """They did nothing in the other study, and typed its submission into a link to this one."""
    market, slug = paid.fake.marketplace, make_study(sessions, storage, items=16, **SMALL)
    other = PaidStudy(sessions, keys, prolific, paid.fake, slug, agree)
    other.look()
    here, there = market.studies
    lazy = market.take_place(there)
    assert lazy is not None
    market.submit(lazy.id, None)
    arrival = Arrival("prolific", lazy.participant, lazy.id, study=here)
    with sessions.begin() as session:
        token = enrolment.sign_up(session, keys, study=study_lookup.by_slug(session, paid.slug), arrival=arrival).token
    answer(sessions, token, agree)
    with sessions.begin() as session:
        sitting = lifecycle.complete(session, token=token).id
    for decide in (
        lambda **one: review.approve(sessions, keys, deployed, **one),
        lambda **one: review.request_return(sessions, keys, deployed, reason="Please.", **one),
        lambda **one: review.reject(sessions, keys, deployed, category="OTHER", message="x" * 100, **one),
    ):
        with pytest.raises(NotFound, match="No recruiter knows a submission"):
            decide(assignment_id=sitting)
    paid.look()
    assert lazy.status == "AWAITING REVIEW"


def test_edits_on_the_website_pause_recruiting(paid: PaidStudy) -> None:
    study = at_recruiter(paid)
    paid.fake.marketplace.transition(study, "PAUSE")
    paid.look()
    assert "it was paused" in told(paid)["edited"]
    paid.look()
    assert study.status == "PAUSED", "somebody wanted it so"
    resume(paid)
    paid.look()
    assert study.status == "ACTIVE"
    study.fields["total_available_places"] = 5
    study.fields["reward"] = 150
    paid.look()
    paid.look()
    assert "2 places were added, which makes 5" in told(paid)["edited"], "though the second look has not seen it"
    assert told(paid)["edited"].count("the reward is 150 instead of 120") == 1
    with paid.sessions() as session:
        assert money.balance(session, paid.study_id).outside == 2 * 183
    resume(paid)
    study.fields["reward"] = 120
    paid.look()
    paid.fake.marketplace.transition(study, "STOP")
    paid.look()
    assert "it was stopped" in told(paid)["edited"]


def test_missed_instructions_come_before_a_human(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    overrides = SMALL | {"quality__failed_instructions": "review", "assignment__instruction_trials": 2}
    slug = make_study(sessions, storage, items=24, **overrides)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    codes = {entry["code_type"]: entry["code"] for entry in at_recruiter(paid).fields["completion_codes"]}
    work = []
    for careful in (True, False):
        submission = fake.marketplace.take_place(at_recruiter(paid).id)
        assert submission is not None
        work.append(submission)
        token = paid.arrive(submission)
        assert token is not None
        answer(sessions, token, agree)
        if not careful:
            with sessions.begin() as session:
                missed = (
                    "UPDATE judgments j SET choice = 1 - choice FROM trials t JOIN items i ON i.id = t.item_id "
                    "WHERE t.id = j.trial_id AND i.role = 'instruction' AND t.assignment_id = :assignment"
                )
                session.execute(text(missed), {"assignment": lifecycle.by_token(session, token).id})
        with sessions.begin() as session:
            code = lifecycle.complete(session, token=token).completion_code
        assert code == codes["COMPLETED" if careful else "FAILED_ATTENTION_CHECK"]
        fake.marketplace.submit(submission.id, code)
    for _ in range(3):
        paid.look()
    assert [one.status for one in work] == ["APPROVED", "AWAITING REVIEW"]
    assert "instruction trials were missed" in told(paid)["review"]


def test_whoever_comes_while_it_is_stopped_is_in_the_book(
    paid: PaidStudy, prolific: Prolific, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, stop, late = paid.fake.marketplace, prolific.stop, []

    def stop_a_moment_later(study: str) -> None:
        late.append(market.take_place(study))
        stop(study)

    monkeypatch.setattr(prolific, "stop", stop_a_moment_later)
    with paid.sessions.begin() as session:
        study_lifecycle.close(session, slug=paid.slug)
    for _ in range(3):
        paid.look()
    assert not paid.is_settled()
    (submission,) = late
    assert submission is not None
    market.submit(submission.id, None)
    market.decide(submission, {"action": "APPROVE"})
    paid.look()
    assert paid.is_settled()
    paid.check_books()


def test_both_sides_beside_each_other(paid: PaidStudy, deployed: Settings) -> None:
    market, study = paid.fake.marketplace, at_recruiter(paid)
    paid.come(most=1)
    never_here, unfinished = market.take_place(study.id), market.take_place(study.id)
    assert never_here is not None
    assert unfinished is not None
    token = paid.arrive(unfinished)
    assert token is not None
    for submission in (never_here, unfinished):
        market.submit(submission.id, None)
    market.decide(never_here, {"action": "APPROVE"})
    for _ in range(2):
        paid.look()
    with paid.sessions() as session:
        sitting = lifecycle.by_token(session, token).id
        pairs = side_by_side(session, study=study_lookup.by_slug(session, paid.slug))
    assert [(pair.there, pair.assignment, pair.here, pair.booked, pair.odd) for pair in pairs] == [
        ("APPROVED", None, None, 183, "was never here"),
        ("AWAITING REVIEW", sitting, "active", 0, "yours to review"),
    ]
    assert deployed.database_url is not None
    environment = {
        "DATABASE_URL": deployed.database_url.get_secret_value(),
        "PUBLIC_URL": deployed.public_url,
        "PROLIFIC_URL": deployed.prolific_url,
        "PROLIFIC_TOKEN": TOKEN,
        "PROLIFIC_WORKSPACE": deployed.prolific_workspace,
        "COLUMNS": "120",
    }
    printed = CliRunner().invoke(cli, ["reconcile", paid.slug, "--home", str(deployed.home)], env=environment)
    assert "was never here" in printed.output
    review.request_return(
        paid.sessions, paid.keys, deployed, assignment_id=sitting, reason="Please return your submission."
    )
    assert unfinished.return_requested is not None
    with pytest.raises(NotFound, match="No recruiter knows"):
        review.request_return(paid.sessions, paid.keys, deployed, assignment_id=10**9, reason="")


def test_what_is_told_twice_is_paid_once(paid: PaidStudy) -> None:
    """A listing may be older than what it told before."""
    paid.come(most=1)
    for _ in range(2):
        paid.look()
    (submission,) = paid.fake.marketplace.submissions.values()
    assert submission.status == "APPROVED"
    submission.status = "AWAITING REVIEW"
    for _ in range(2):
        paid.look()
    assert submission.status == "APPROVED"
    with paid.sessions() as session:
        assert money.balance(session, paid.study_id).spent == 183


def test_one_study_whose_look_fails_does_not_stop_the_others(
    paid: PaidStudy, sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, deployed: Settings
) -> None:
    market, slug = paid.fake.marketplace, make_study(sessions, storage, items=16, **SMALL)
    later = PaidStudy(sessions, keys, prolific, paid.fake, slug, agree)
    later.look()
    odd, fine = (market.take_place(study) for study in market.studies)
    assert odd
    assert fine
    nameless, odd.participant = odd.participant, ""
    market.submit(fine.id, None)
    look_at_all(sessions, keys, deployed)
    assert "participant_id: String should have at least 1 character" in told(paid)["look-failed"]
    assert [*told(later)] == ["review"]
    look_at_all(sessions, keys, deployed.model_copy(update={"prolific_token": None}))
    assert "set PROLIFIC_TOKEN" in told(paid)["look-failed"], "what is wrong now, not what was wrong first"
    assert "participant_id" not in told(paid)["look-failed"]
    odd.participant = nameless
    look_at_all(sessions, keys, deployed)
    assert told(paid) == {}
    theirs = {"prolific_url": "https://api.prolific.com", "public_url": "http://localhost:8000"}
    with pytest.raises(Unavailable, match="Set PUBLIC_URL"):
        look_at(sessions, keys, deployed.model_copy(update=theirs), slug=slug)


def test_the_last_tenth_asks_first(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(sessions, storage, items=40, pay__budget=10 * 183, rounds=3, min_votes=3, **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    for _ in range(4):
        paid.look()
        paid.come()
    paid.look()
    assert at_recruiter(paid).places == 9
    assert "Nine tenths" in told(paid)["last-tenth"]
    resume(paid)
    for _ in range(3):
        paid.look()
        paid.come()
    assert at_recruiter(paid).places == 10
    assert "does not cover another place" in told(paid)["budget-spent"]
    with sessions.begin() as session:
        study_lifecycle.close(session, slug=slug)
    for _ in range(3):
        paid.look()
    paid.check_books()
    with sessions() as session:
        assert money.balance(session, paid.study_id).free == 1830 - fake.marketplace.charged(at_recruiter(paid).id)


@pytest.mark.parametrize(
    ("fates", "kind"), [(Fates(timed_out=1.0), "failures"), (Fates(returned_early=1.0), "returns")]
)
def test_brakes(paid: PaidStudy, fates: Fates, kind: str) -> None:
    paid.fates = fates
    for _ in range(8):
        paid.come(most=3)
        paid.expire_leases()
        paid.look()
    paid.look()
    assert "Recruiting is paused" in told(paid)[kind]
    assert at_recruiter(paid).status == "PAUSED"
    resume(paid)
    paid.look()
    assert at_recruiter(paid).status == "ACTIVE", "the same again does not stop whoever has looked"


def test_pages_that_fail_pull_the_brake(paid: PaidStudy) -> None:
    submission = paid.fake.marketplace.take_place(at_recruiter(paid).id)
    assert submission is not None
    token = paid.arrive(submission)
    assert token is not None
    with paid.sessions.begin() as session:
        trials = [trial.id for trial in lifecycle.progress(session, lifecycle.by_token(session, token)).open]
        for attempt in (1, 2, 3):
            for trial in trials:
                lifecycle.abort(session, token=token, trial_id=trial, attempt=attempt, reason="decode", timing=None)
    for _ in range(2):
        paid.look()
    assert "24 of the last 24 trials could not be shown" in told(paid)["errors"]
    assert at_recruiter(paid).status == "PAUSED"


def test_a_token_without_rights(
    sessions: Sessions, storage: LocalStorage, keys: Keys, fake: FakeProlific, fake_url: str
) -> None:
    slug = make_study(sessions, storage, items=24, **SMALL)
    with closing(Api(fake_url, SecretStr("nobody's"), patience=IMPATIENT)) as api:
        paid = PaidStudy(sessions, keys, Prolific(api, workspace=fake.marketplace.workspace), fake, slug, agree)
        assert "401" in paid.look().refused[0]
    assert "Invalid token" in told(paid)["refused"]
    with sessions() as session:
        assert alerts.is_stopped(session, paid.study_id)


def test_a_bonus_is_granted_once_and_never_paid_twice(paid: PaidStudy) -> None:
    paid.come()
    paid.look()
    paid.look()
    with paid.sessions() as session:
        study = study_lookup.by_slug(session, paid.slug)
        people = bonuses.paid_assignments(session, study)
        real = bonuses.pay_per_hour(session, study)
    assert len(people) == 3
    assert real is not None
    assert real.proposed_bonus == 0

    def grant(amount: int, reason: str, to: list[int]) -> None:
        with paid.sessions.begin() as session:
            study = study_lookup.by_slug(session, paid.slug)
            bonuses.grant(
                session, study=study, amount=amount, reason=reason, assignments=to, terms=TERMS, today=paid.today
            )

    with pytest.raises(BadInput, match="nobody was paid for"):
        grant(50, "thanks", [*people, 10**9])
    with pytest.raises(BadInput, match="minor units"):
        grant(0, "thanks", people)
    with pytest.raises(Conflict, match="of the budget"):
        grant(10**6, "thanks", people)
    grant(50, "thanks", people)
    with pytest.raises(Conflict, match="already"):
        grant(50, "thanks", people[:1])
    paid.fake.mischief.next += [("lose", "POST", "/pay/")]
    for _ in range(3):
        paid.look()
    (bulk,) = paid.fake.marketplace.bulk_bonuses.values()
    assert bulk.times_paid == 1
    assert "Nobody knows" in told(paid)["bonus-unclear"]
    with paid.sessions.begin() as session:
        (batch,) = session.scalars(select(BonusBatch).where(BonusBatch.external_id == bulk.id))
        bonuses.settle(session, batch_id=batch.id, paid=True)
    assert "bonus-unclear" not in told(paid)
    paid.fake.mischief.next += [("throttle", "POST", "/pay/")] * 8
    grant(20, "again", people)
    for _ in range(3):
        paid.look()
    assert [bulk.times_paid for bulk in paid.fake.marketplace.bulk_bonuses.values()] == [1, 0, 1]
    assert paid.bonuses_paid() == 6
    paid.run()
    paid.check_books()


@pytest.mark.parametrize(("budget", "taken"), [(900, 3), (440, 1)])
def test_fees_that_rise_while_places_are_open(
    sessions: Sessions,
    storage: LocalStorage,
    keys: Keys,
    prolific: Prolific,
    fake: FakeProlific,
    budget: int,
    taken: int,
) -> None:
    """What is open costs more by now. If the cap does not cover that, what nobody took is taken back."""
    slug = make_study(sessions, storage, items=24, rounds=2, min_votes=2, pay__budget=budget, **SMALL)
    lower = [fees.model_copy(update={"rate": Decimal("0.1"), "vat": Decimal(0)}) for fees in TERMS]
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree, terms=lower)
    paid.look()
    assert committed(paid) == 3 * 132
    paid.come(most=taken)
    paid.terms = TERMS
    for _ in range(3):
        paid.look()
    first = next(iter(fake.marketplace.studies.values()))
    is_short = budget == 440
    assert (first.is_stopped, "fees-rose" in told(paid)) == (is_short, is_short)
    for _ in range(4):
        resume(paid)
        paid.come()
        paid.look()
    paid.check_books()
    with sessions() as session:
        balance = money.balance(session, paid.study_id)
        prices = session.scalars(select(Recruitment.place_cost).where(Recruitment.study_id == paid.study_id)).all()
    assert (len(prices), max(prices)) == (2 if is_short else 1, 183)
    charged = sum(fake.marketplace.charged(study) for study in fake.marketplace.studies)
    assert charged <= balance.committed + balance.spent + balance.outside <= budget


def committed(paid: PaidStudy) -> int:
    with paid.sessions() as session:
        return money.balance(session, paid.study_id).committed


def test_what_cannot_be_recruited_for(sessions: Sessions, storage: LocalStorage) -> None:
    def begin(**overrides: object) -> None:
        slug = make_study(sessions, storage, items=24, **{**SMALL, **overrides})
        with sessions.begin() as session:
            today = session.scalars(select(func.current_date())).one()
            plan.begin(session, study=study_lookup.by_slug(session, slug), terms=TERMS, today=today)

    with pytest.raises(BadInput, match="has no recruiter"):
        begin(recruiting__recruiter="direct")
    with pytest.raises(BadInput, match=r"£1\.80, but one place costs up to £1\.83"):
        begin(pay__budget=180)
    with pytest.raises(BadInput, match="are paid"):
        begin(pay__reward=0)


def test_a_currency_that_differs_is_refused(
    sessions: Sessions, storage: LocalStorage, keys: Keys, prolific: Prolific, fake: FakeProlific
) -> None:
    slug = make_study(sessions, storage, items=24, pay__currency="USD", **SMALL)
    paid = PaidStudy(sessions, keys, prolific, fake, slug, agree)
    paid.look()
    assert told(paid)["refused"] == "The workspace pays in GBP, the study in USD."
    assert fake.marketplace.studies == {}
