"""A recruiter that hangs, is away, or cannot be asked at all: what a call costs then, and what it is taken for."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date

import jwt
import pytest
from pydantic import SecretStr

from app.domain.money import fees_on
from app.errors import Unavailable
from app.recruiters.mturk.api import Api as MturkApi
from app.recruiters.mturk.recruiter import Mturk
from app.recruiters.outbound import AT_ONCE, NoAnswerError, NotCalledError, Outbound
from app.recruiters.prolific import signing_keys
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.prolific.signing_keys import WAITING, SigningKeys
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, RecruiterError, Refused
from app.recruiters.retry import Patience
from simulation.prolific.server import FakeProlific
from simulation.serving import Reply, serve
from tests.recruiting.test_prolific import draft
from tests.support.recruiting.paid_study import PUBLIC_URL, TERMS
from tests.support.recruiting.silence import silent_server

BRIEF = Patience(tries=1, call_s=0.3)
FOR_EVER = Patience(tries=1000, first_wait_s=600, call_s=600, total_s=6000)
"""A test in which such a call is tried twice does not end."""
TOKEN = "a-token-that-nobody-may-read"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda it: it.currency(), NothingHappened),
        (lambda it: it.approve(["s"]), NothingHappened),
        (lambda it: it.create_study(draft()), OutcomeUnclear),
        (lambda it: it.pay_bonuses("q"), OutcomeUnclear),
    ],
)
def test_a_call_without_an_answer_ends_and_the_next_is_not_made(
    call: Callable[[Prolific], object], error: type[RecruiterError]
) -> None:
    with silent_server() as silence, closing(Api(silence.url, SecretStr(TOKEN), patience=BRIEF)) as api:
        prolific = Prolific(api, workspace="w")
        with pytest.raises(error, match="did not come in time") as first:
            call(prolific)
        assert type(first.value) is error
        with pytest.raises(NothingHappened, match="has not answered lately"):
            prolific.pay_bonuses("q")
        assert silence.requests == 1


def test_mturk_without_an_answer() -> None:
    with silent_server() as silence:
        credentials = {"aws_access_key_id": "a-key", "aws_secret_access_key": TOKEN}
        with closing(MturkApi(silence.url, credentials=credentials, patience=BRIEF)) as api:
            mturk = Mturk(api, fees=fees_on(date(2026, 11, 1), "mturk", TERMS))
            with pytest.raises(OutcomeUnclear, match="did not come in time"):
                mturk.currency()
            with pytest.raises(NothingHappened, match="has not answered lately"):
                mturk.currency()
        assert silence.requests == 1


def test_calls_left_behind_keep_their_places() -> None:
    outbound, over = Outbound(rests_s=0), threading.Event()
    for _ in range(AT_ONCE):
        with pytest.raises(NoAnswerError):
            outbound.call(over.wait, Patience(call_s=0.01))
    with pytest.raises(NotCalledError, match="several earlier calls"):
        outbound.call(over.wait, Patience(call_s=0.01))
    over.set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert outbound.call(lambda: 7, Patience()) == 7
            return
        except NotCalledError:
            time.sleep(0.01)
    raise AssertionError("no place became free")


@pytest.mark.parametrize("does", ["is away", "hangs"])
def test_a_process_that_ends_waits_for_nobody(does: str) -> None:
    """Neither in a pause between two tries nor for an answer; what was asked for and not answered is not forgotten."""
    over = threading.Event()
    patience = Patience(tries=1000, first_wait_s=600, call_s=600, total_s=6000, is_over=over.is_set)
    with silent_server() as silence:
        url = silence.url if does == "hangs" else "http://127.0.0.1:9"
        with closing(Api(url, SecretStr(TOKEN), patience=patience)) as api:
            timer = threading.Timer(0.3, over.set)
            timer.start()
            with pytest.raises(OutcomeUnclear if does == "hangs" else NothingHappened):
                api.send("POST", "/api/v1/bulk-bonus-payments/x/pay/", {}, repeatable=False)
            with pytest.raises(NothingHappened, match="process is ending"):
                api.get("/api/v1/studies/")


@pytest.mark.parametrize(
    ("url", "token", "workspace"),
    [
        ("", f"{TOKEN}\N{EN DASH}x", "w"),
        ("", f"{TOKEN}\n", "w"),
        ("", f"{TOKEN}\r\nX-Other: {TOKEN}", "w"),
        ("", TOKEN, "w\n"),
        ("", TOKEN, "w\x00"),
        ("ftp://127.0.0.1", TOKEN, "w"),
        ("nowhere", TOKEN, "w"),
    ],
)
def test_what_cannot_be_sent_is_no_lost_answer(fake_url: str, url: str, token: str, workspace: str) -> None:
    try:
        api = Api(url or fake_url, SecretStr(token), patience=FOR_EVER)
    except Exception as error:
        pytest.fail(f"{type(error).__name__} where the address is first used")
    with closing(api), pytest.raises(NothingHappened, match="cannot be sent") as refused:
        Prolific(api, workspace=workspace).currency()
    assert TOKEN not in str(refused.value) + repr(refused.value.__cause__)


def test_who_sends_us_elsewhere_is_not_followed() -> None:
    class Moved:
        def handle(self, *_: object) -> Reply:
            return Reply(301, b'{"currency_code": "GBP"}', {"Location": f"http://127.0.0.1:9/{TOKEN}"})

    with serve(Moved()) as url, closing(Api(url, SecretStr(TOKEN), patience=FOR_EVER)) as api:
        for call in (Prolific(api, workspace="w").currency, lambda: Prolific(api, workspace="w").pay_bonuses("q")):
            with pytest.raises(NothingHappened, match=r"elsewhere \(301\)") as sent:
                call()
            assert TOKEN not in str(sent.value)


def test_mturk_with_credentials_that_cannot_be_sent() -> None:
    credentials = {"aws_access_key_id": "a\nkey", "aws_secret_access_key": TOKEN, "aws_session_token": f"{TOKEN}\n"}
    with (
        closing(MturkApi("http://127.0.0.1:9", credentials=credentials, patience=FOR_EVER)) as api,
        pytest.raises(Refused, match="cannot be sent") as refused,
    ):
        api.call("get_account_balance")
    assert TOKEN not in str(refused.value)


def test_few_wait_for_signing_keys_and_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "WAIT_S", 1.0)
    link = jwt.encode({}, "x" * 32, headers={"kid": "1"})
    with silent_server() as silence:
        keys, waited, outcomes = SigningKeys(f"{silence.url}/jwks.json"), [], []

        def arrive() -> None:
            begun = time.monotonic()
            try:
                keys.key_of(link)
            except Unavailable as error:
                outcomes.append(error)
            waited.append(time.monotonic() - begun >= 1.0)

        visitors = [threading.Thread(target=arrive) for _ in range(5 * WAITING)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        assert len(outcomes) == 5 * WAITING
        assert 1 <= sum(waited) <= WAITING
        assert silence.requests <= 1


def test_keys_that_are_known_outlive_their_server(fake: FakeProlific, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(fake) as url:
        keys = SigningKeys(f"{url}/.well-known/study/jwks.json")
        signer = fake.marketplace.signer
        link = signer.sign(f"{PUBLIC_URL}/studies/x?PROLIFIC_PID=p&STUDY_ID=s&SESSION_ID=t").rpartition("=")[2]
        known = keys.key_of(link)
    monkeypatch.setattr(keys, "_known_until", 0.0)
    monkeypatch.setattr(keys, "_asked_from", 0.0)
    assert keys.key_of(link) is known
    with pytest.raises(jwt.PyJWTError, match="no such key"):
        keys.key_of(jwt.encode({}, "x" * 32, headers={"kid": "another"}))
