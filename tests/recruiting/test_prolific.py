"""The Prolific adapter against a strict fake: pages, storms, lost answers, words we do not know."""

import json
from collections.abc import Callable
from contextlib import closing

import pytest
from pydantic import SecretStr

from app.errors import BadInput
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, Refused, StudyDraft
from simulation.prolific.server import FakeProlific
from simulation.serving import Reply, serve
from tests.recruiting.conftest import IMPATIENT

CODES = {"completed": "C0DE1", "no_consent": "C0DE2", "screened_out": "C0DE3", "failed_checks": "C0DE4"}


def draft(**changes: object) -> StudyDraft:
    fields: dict[str, object] = {
        "reference": "shoes 1 abc",
        "name": "Which image is more similar?",
        "description": "You will compare images.",
        "url": "https://lab.example/studies/shoes",
        "reward": 120,
        "places": 50,
        "minutes": 8,
        "maximum_minutes": 24,
        "devices": ("desktop", "tablet", "mobile"),
        "codes": CODES,
    }
    return StudyDraft(**{**fields, **changes})  # type: ignore[arg-type]


def published(prolific: Prolific, **changes: object) -> str:
    study = prolific.create_study(draft(**changes))
    prolific.publish(study)
    return study


def test_a_study_from_draft_to_its_end(prolific: Prolific, fake: FakeProlific) -> None:
    assert prolific.currency() == "GBP"
    study = prolific.create_study(draft(project="p1", signed_links=True, excluded_studies=("s0",), excluded_group="g0"))
    told = prolific.study(study)
    assert (told.state, told.places, told.reward) == ("draft", 50, 120)
    assert prolific.find_study("shoes 1 abc", project="p1") == study
    assert prolific.find_study("shoes 1 abc", project="p2") is None
    assert prolific.find_study("shoes 1 abc", project="") == study
    states = []
    for step in (prolific.publish, prolific.pause, prolific.resume):
        step(study)
        states.append(prolific.study(study).state)
    prolific.set_places(study, 60)
    prolific.stop(study)
    assert [*states, prolific.study(study).state] == ["open", "paused", "open", "ended"]
    assert prolific.study(study).places == 60
    with pytest.raises(Refused, match="Only increasing"):
        prolific.set_places(study, 59)
    with pytest.raises(Refused, match="cannot PAUSE"):
        prolific.pause(study)
    prolific.set_places(study, 61)
    assert prolific.study(study).state == "open"
    filters = fake.marketplace.studies[study].fields["filters"]
    assert [entry["filter_id"] for entry in filters] == ["previous_studies_blocklist", "participant_group_blocklist"]


@pytest.mark.parametrize("count", [0, 19, 20, 21, 40, 41])
def test_every_submission_of_every_page(prolific: Prolific, fake: FakeProlific, count: int) -> None:
    study = published(prolific)
    taken = [fake.marketplace.take_place(study) for _ in range(count)]
    assert [found.id for found in prolific.submissions(study)] == [one.id for one in taken if one]
    assert len(taken) == count


def test_storms_are_waited_out_and_lost_answers_asked_again(prolific: Prolific, fake: FakeProlific) -> None:
    study = published(prolific)
    submission = fake.marketplace.take_place(study)
    assert submission is not None
    fake.marketplace.submit(submission.id, "C0DE1")
    for kind in ("throttle", "error", "html", "lose"):
        fake.mischief.next += [(kind, "GET", "/submissions/")] * 4 + [(kind, "POST", "/bulk-approve/")] * 4
        assert len(prolific.submissions(study)) == 1
        prolific.approve([submission.id])
    assert [found.status for found in prolific.submissions(study)] == ["APPROVED"]
    assert prolific.charged(study) == 120 + 51 + 10
    fake.mischief.next += [("throttle", "GET", "/submissions/")] * IMPATIENT.tries
    with pytest.raises(NothingHappened, match="patience"):
        prolific.submissions(study)
    fake.mischief.next += [("html", "GET", "/submissions/")] * IMPATIENT.tries
    with pytest.raises(NothingHappened, match="a page instead of data"):
        prolific.submissions(study)


@pytest.mark.parametrize("kind", ["error", "html", "lose"])
def test_a_payment_is_asked_for_once(prolific: Prolific, fake: FakeProlific, kind: str) -> None:
    study = published(prolific)
    submission = fake.marketplace.take_place(study)
    assert submission is not None
    fake.marketplace.submit(submission.id, "C0DE1")
    prolific.approve([submission.id])
    fake.mischief.next += [("throttle", "POST", "/bonus-payments/"), ("lose", "POST", "/bonus-payments/")]
    quote = prolific.quote_bonuses(study, {submission.id: 425})
    assert (quote.amount, quote.total) == (425, 425 + 182 + 36)
    fake.mischief.next += [("throttle", "POST", "/pay/"), (kind, "POST", "/pay/")]  # type: ignore[list-item]
    with pytest.raises(OutcomeUnclear):
        prolific.pay_bonuses(quote.id)
    assert submission.bonuses == ([425] if kind == "lose" else [])


def test_unknown_words_are_kept(prolific: Prolific, fake: FakeProlific) -> None:
    study = published(prolific)
    submission = fake.marketplace.take_place(study)
    assert submission is not None
    fake.on_exchange = lambda _: None  # Prolific's description has no such word either
    submission.status = "PROCESSING"
    fake.marketplace.studies[study].status = "ARCHIVED"
    assert [found.status for found in prolific.submissions(study)] == ["PROCESSING"]
    assert prolific.study(study).state == "unknown"


def test_refusals_say_what_prolific_says(prolific: Prolific, fake_url: str, fake: FakeProlific) -> None:
    with pytest.raises(Refused, match="Participants need more time"):
        prolific.create_study(draft(maximum_minutes=20))
    with pytest.raises(Refused, match="Not enough funds"):
        published(prolific, places=1_000_000)
    with (
        closing(Api(fake_url, SecretStr("nobody's"), patience=IMPATIENT)) as stranger,
        pytest.raises(Refused, match=r"401.*Invalid token"),
    ):
        Prolific(stranger, workspace="w").currency()
    with pytest.raises(Refused, match="has not taken part"):
        prolific.quote_bonuses(published(prolific), {"nobody": 100})
    with pytest.raises(BadInput, match="at least 100 characters"):
        prolific.reject("s", category="LOW_EFFORT", message="bad")
    with pytest.raises(BadInput, match="no category"):
        prolific.reject("s", category="MOOD", message="x" * 100)


class Says:
    """A server that has one answer to everything."""

    def __init__(self, status: int, body: object) -> None:
        page = b"<!DOCTYPE html><title>Welcome</title>"
        self._reply = Reply(status, page if body is PAGE else json.dumps(body).encode())

    def handle(self, *_: object) -> Reply:
        return self._reply


PAGE = object()
ONE = {"amount": 1}
NOWHERE = {"results": [{"participant_id": "p", "status": "ACTIVE"}]}


@pytest.mark.parametrize(
    ("status", "body", "call", "error"),
    [
        (200, NOWHERE, lambda it: it.submissions("s"), NothingHappened),
        (200, {"results": ["a", "b"]}, lambda it: it.submissions("s"), NothingHappened),
        (200, {"status": "ACTIVE"}, lambda it: it.study("s"), NothingHappened),
        (200, {"results": None}, lambda it: it.find_study("r", project=""), NothingHappened),
        (200, {}, lambda it: it.currency(), NothingHappened),
        (201, PAGE, lambda it: it.create_study(draft()), OutcomeUnclear),
        (201, {}, lambda it: it.create_study(draft()), OutcomeUnclear),
        (202, PAGE, lambda it: it.approve(["s"]), NothingHappened),
        (202, PAGE, lambda it: it.pay_bonuses("q"), OutcomeUnclear),
        (200, {"detail": "soon"}, lambda it: it.charged("s"), NothingHappened),
        (200, {"rewards": {"rewards": ONE, "fees": ONE}}, lambda it: it.charged("s"), NothingHappened),
        (201, {"id": "q", "amount": 1}, lambda it: it.quote_bonuses("s", {"a": 1}), NothingHappened),
    ],
)
def test_odd_answers_are_errors_of_the_recruiter(
    status: int, body: object, call: Callable[[Prolific], object], error: type[Exception]
) -> None:
    with (
        serve(Says(status, body)) as url,
        closing(Api(url, SecretStr("t"), patience=IMPATIENT)) as api,
        pytest.raises(error),
    ):
        call(Prolific(api, workspace="w"))


def test_a_server_that_is_not_there() -> None:
    with (
        closing(Api("http://127.0.0.1:9", SecretStr("t"), patience=IMPATIENT)) as gone,
        pytest.raises(NothingHappened, match="cannot be reached"),
    ):
        gone.send("POST", "/api/v1/bulk-bonus-payments/x/pay/", {}, repeatable=False)
