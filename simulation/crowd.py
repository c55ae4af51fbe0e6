"""A crowd that takes part over the real HTTP API, many people at a time."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import httpx
from sqlalchemy.exc import OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from app.db import Sessions
from app.errors import Unavailable
from simulation import answer_key
from simulation.observers import MEDIAN_RT_MS, Key, Kind, Observer, Probit, Recorded, answer, draw_tempo, response_time

T = TypeVar("T")

PATIENCE_S = 120
"""How long a simulated person keeps trying while the server is away."""


@dataclass(frozen=True)
class CrowdPlan:
    """Who comes. `mix` says what share of the participants is of a kind, the rest being attentive; noise is in units of
    the latent distance.

    `think_s` is the mean time an answer takes; 0 answers as fast as the server can.
    """

    slug: str
    participants: int
    concurrency: int = 8
    answers: Literal["latent", "recorded"] = "latent"
    seed: int = 1
    noise: float = 1.0
    lapse: float = 0.02
    mix: Mapping[Kind, float] = field(default_factory=dict)
    think_s: float = 0.0


@dataclass
class CrowdReport:
    """What the crowd did. `turned_away` people were told that there is nothing left."""

    sittings: int = 0
    judgments: int = 0
    waits: int = 0
    retries: int = 0
    turned_away: int = 0
    seconds: float = 0.0
    acknowledged: dict[int, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Guest:
    """Somebody who comes: the fields their recruiter gives them, and whom to tell how it ended (the completion code, or
    None if there was nothing for them)."""

    name: str
    fields: Mapping[str, str]
    tell: Callable[[str | None], None] = lambda _: None


def _uninvited(plan: CrowdPlan) -> Iterator[Guest]:
    """People who come by the direct link, until one of them is turned away."""
    for number in range(plan.participants):
        yield Guest(str(number), {"participant": f"sim-{plan.seed}-{number}"})


class _ServerAwayError(Exception):
    """No answer, a 5xx, or no database: worth another try, since every call may be repeated."""


def run_crowd(
    url: str,
    sessions: Sessions,
    plan: CrowdPlan,
    *,
    guests: Iterator[Guest] | None = None,
    on_judgment: Callable[[CrowdReport], None] = lambda _: None,
) -> CrowdReport:
    """Let the crowd loose on a server; returns when everybody is done or turned away.

    `guests` are people that a recruiter sends; without them, `plan.participants` come by the direct link.

    Raises:
        BadInput: the study's items cannot be answered that way.
        Unavailable: the server stayed away, or answered what no participant should see.
    """
    answer_key.require_answers(sessions, slug=plan.slug, answers=plan.answers)
    crowd = _Crowd(url, sessions, plan, guests, on_judgment)
    started = time.monotonic()
    chairs = min(plan.concurrency, plan.participants)
    with ThreadPoolExecutor(chairs, thread_name_prefix="observer") as room:
        for seated in [room.submit(crowd.take_turns) for _ in range(chairs)]:
            seated.result()
    crowd.report.seconds = time.monotonic() - started
    return crowd.report


class _Crowd:
    def __init__(
        self,
        url: str,
        sessions: Sessions,
        plan: CrowdPlan,
        guests: Iterator[Guest] | None,
        on_judgment: Callable[[CrowdReport], None],
    ) -> None:
        self._url = url
        self._sessions = sessions
        self.plan = plan
        self._on_judgment = on_judgment
        self._are_sent = guests is not None
        self._guests = guests or _uninvited(plan)
        self._arriving = threading.Lock()
        self._lock = threading.Lock()
        self.report = CrowdReport()
        self.is_leaving = threading.Event()

    def take_turns(self) -> None:
        """One chair in the room: the next person sits down when one has finished."""
        with httpx.Client(base_url=self._url, timeout=60) as http:
            try:
                while (guest := self._next_guest()) is not None:
                    sitting = _Sitting(http, random.Random(f"{self.plan.seed}:{guest.name}"), self)  # noqa: S311
                    code = sitting.attend(guest.fields)
                    guest.tell(code)
                    if code is None:
                        self.count(turned_away=1)
                        if not self._are_sent:
                            return
            except BaseException:
                self._guests = iter(())  # the others finish their sittings, and nobody new comes or waits
                self.is_leaving.set()
                raise

    def _next_guest(self) -> Guest | None:
        with self._arriving:
            return next(self._guests, None)

    def count(self, **increments: int) -> None:
        with self._lock:
            for name, increment in increments.items():
                setattr(self.report, name, getattr(self.report, name) + increment)

    def acknowledged(self, trial: int, answers: list[str]) -> None:
        with self._lock:
            self.report.acknowledged[trial] = answers
            self.report.judgments += 1
        self._on_judgment(self.report)

    def keys(self, trials: list[int]) -> dict[int, Key]:
        try:
            return answer_key.load_keys(self._sessions, trials)
        except OperationalError as error:
            raise _ServerAwayError from error


class _Sitting:
    """One person, from the consent page to the completion code."""

    def __init__(self, http: httpx.Client, rng: random.Random, crowd: _Crowd) -> None:
        self._http = http
        self._rng = rng
        self._crowd = crowd
        self._plan = crowd.plan
        self._kind = self._draw_kind()
        self._tempo = draw_tempo(self._rng)
        # Every call may be repeated, so a server that is away is simply asked again.
        self._persistently = Retrying(
            retry=retry_if_exception_type(_ServerAwayError),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            stop=stop_after_delay(PATIENCE_S),
            before_sleep=lambda _: crowd.count(retries=1),
            reraise=True,
        )

    def attend(self, fields: Mapping[str, str]) -> str | None:
        """Judge everything one is dealt; the completion code, or None if there is nothing for this person."""
        assignment = self._enrol(fields)
        if assignment is None:
            return None
        trials = self._call("GET", f"{assignment}/trials").json()["trials"]
        keys = self._patiently(self._crowd.keys, [trial["id"] for trial in trials])
        observer = self._observer()
        for trial in trials:
            self._judge(assignment, trial["id"], answer(self._kind, observer, keys[trial["id"]], self._rng))
        completed = self._call("POST", f"{assignment}/complete").json()
        self._crowd.count(sittings=1)
        return str(completed["completion_code"])

    def _draw_kind(self) -> Kind:
        draw = self._rng.random()
        for kind, share in self._plan.mix.items():
            if draw < share:
                return kind
            draw -= share
        return "attentive"

    def _observer(self) -> Observer:
        if self._plan.answers == "recorded":
            return Recorded(self._plan.seed)
        return Probit(self._rng, self._plan.noise, self._plan.lapse)

    def _enrol(self, fields: Mapping[str, str]) -> str | None:
        """The assignment's URL; waits while there is nothing to judge now, None when there never will be."""
        body = {**fields, "consent": True}
        while True:
            response = self._call("POST", f"/studies/{self._plan.slug}/assignments", body, allow=(409, 410, 429))
            if response.status_code == 410:
                return None
            if response.status_code not in (409, 429):
                return str(response.json()["url"])
            self._crowd.count(waits=1)
            if self._crowd.is_leaving.wait(float(response.headers["Retry-After"])):
                return None

    def _judge(self, assignment: str, trial: int, answers: list[str]) -> None:
        rt_ms = response_time(self._kind, self._tempo, self._rng)
        if self._plan.think_s:
            time.sleep(self._plan.think_s * rt_ms / MEDIAN_RT_MS)
        judgment = {
            "trial": trial,
            "answers": answers,
            "input": "simulated",
            "rt_ms": round(rt_ms, 1),
            "timing": {"simulated": self._kind},
        }
        self._call("POST", f"{assignment}/judgments", {"judgments": [judgment]})
        self._crowd.acknowledged(trial, answers)

    def _call(self, method: str, path: str, body: Any = None, *, allow: tuple[int, ...] = ()) -> httpx.Response:
        return self._patiently(self._once, method, path, body, allow)

    def _patiently(self, call: Callable[..., T], *args: Any) -> T:
        try:
            return self._persistently(call, *args)
        except _ServerAwayError as error:
            raise Unavailable(
                f"The server at {self._http.base_url} did not answer for {PATIENCE_S} s. Is it running? (lookalike up)"
            ) from error

    def _once(self, method: str, path: str, body: Any, allow: tuple[int, ...]) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise _ServerAwayError from error
        if response.status_code >= 500:
            raise _ServerAwayError(response.text)
        if response.is_error and response.status_code not in allow:
            raise Unavailable(f"The server answered {response.status_code} to {method} {path}: {response.text}")
        return response
