"""A crowd that takes part over the real HTTP API, many people at a time."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from app.db import Sessions
from app.domain.dealing import Side
from app.errors import Unavailable
from app.simulation import answer_key
from app.simulation.observers import Kind, Observer, Probit, Recorded, answer

PATIENCE_S = 120
"""How long a simulated person keeps trying while the server is away."""


@dataclass(frozen=True)
class CrowdPlan:
    """Who comes. Shares are of all participants; noise is in units of the latent distance.

    `think_s` is the mean time an answer takes; 0 answers as fast as the server can.
    """

    slug: str
    participants: int
    concurrency: int = 8
    answers: Literal["latent", "recorded"] = "latent"
    seed: int = 1
    noise: float = 1.0
    lapse: float = 0.02
    left_pressers: float = 0.0
    random_clickers: float = 0.0
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
    acknowledged: dict[int, Side] = field(default_factory=dict)


class _ServerAwayError(Exception):
    """No answer, or a 5xx: worth another try, since every call may be repeated."""


def run_crowd(
    url: str, sessions: Sessions, plan: CrowdPlan, *, on_judgment: Callable[[CrowdReport], None] = lambda _: None
) -> CrowdReport:
    """Let the crowd loose on a server; returns when everybody is done or turned away.

    Raises:
        BadInput: the study's items cannot be answered that way.
        Unavailable: the server stayed away, or answered what no participant should see.
    """
    answer_key.require_answers(sessions, slug=plan.slug, answers=plan.answers)
    report = CrowdReport()
    started = time.monotonic()
    try:
        asyncio.run(_Crowd(url, sessions, plan, report, on_judgment).run())
    except* (Unavailable, httpx.InvalidURL) as group:
        raise group.exceptions[0] from None
    report.seconds = time.monotonic() - started
    return report


class _Crowd:
    def __init__(
        self,
        url: str,
        sessions: Sessions,
        plan: CrowdPlan,
        report: CrowdReport,
        on_judgment: Callable[[CrowdReport], None],
    ) -> None:
        self._url = url
        self._sessions = sessions
        self._plan = plan
        self._report = report
        self._on_judgment = on_judgment
        self._people = iter(range(plan.participants))

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=self._plan.concurrency)
        async with (
            httpx.AsyncClient(base_url=self._url, timeout=60, limits=limits) as http,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(min(self._plan.concurrency, self._plan.participants)):
                group.create_task(self._chair(http))

    async def _chair(self, http: httpx.AsyncClient) -> None:
        """One seat in the room: the next person sits down when one has finished."""
        for person in self._people:
            rng = random.Random(f"{self._plan.seed}:{person}")  # noqa: S311 - reproducible
            assignment = await self._enrol(http, f"sim-{self._plan.seed}-{person}")
            if assignment is None:
                self._report.turned_away += 1
                return
            await self._judge_all(http, assignment, self._kind(rng), rng)
            await self._call(http, "POST", f"{assignment}/complete")
            self._report.sittings += 1

    def _kind(self, rng: random.Random) -> Kind:
        draw = rng.random()
        if draw < self._plan.left_pressers:
            return "left-presser"
        return "random-clicker" if draw < self._plan.left_pressers + self._plan.random_clickers else "attentive"

    def _observer(self, rng: random.Random) -> Observer:
        if self._plan.answers == "recorded":
            return Recorded(self._plan.seed)
        return Probit(rng, self._plan.noise, self._plan.lapse)

    async def _enrol(self, http: httpx.AsyncClient, name: str) -> str | None:
        """The assignment's URL; waits while there is nothing to judge now, None when there never will be."""
        body = {"participant": name, "consent": True}
        while True:
            response = await self._call(http, "POST", f"/studies/{self._plan.slug}/assignments", body, allow=(409, 410))
            if response.status_code == 410:
                return None
            if response.status_code != 409:
                return str(response.json()["url"])
            self._report.waits += 1
            await asyncio.sleep(float(response.headers["Retry-After"]))

    async def _judge_all(self, http: httpx.AsyncClient, assignment: str, kind: Kind, rng: random.Random) -> None:
        trials = (await self._call(http, "GET", f"{assignment}/trials")).json()["trials"]
        keys = await asyncio.to_thread(answer_key.load_keys, self._sessions, [trial["id"] for trial in trials])
        observer = self._observer(rng)
        for trial in trials:
            side = answer(kind, observer, keys[trial["id"]], rng)
            rt_ms = rng.lognormvariate(7.0, 0.4)  # median 1.1 s
            await asyncio.sleep(self._plan.think_s * rt_ms / 1100 if self._plan.think_s else 0)
            judgment = {
                "trial": trial["id"],
                "answers": [side],
                "input": "simulated",
                "rt_ms": round(rt_ms, 1),
                "timing": {"simulated": kind},
            }
            await self._call(http, "POST", f"{assignment}/judgments", {"judgments": [judgment]})
            self._report.acknowledged[trial["id"]] = side
            self._report.judgments += 1
            self._on_judgment(self._report)

    async def _call(
        self, http: httpx.AsyncClient, method: str, path: str, body: Any = None, *, allow: tuple[int, ...] = ()
    ) -> httpx.Response:
        """One call, repeated while the server is away."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_ServerAwayError),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            stop=stop_after_delay(PATIENCE_S),
            before_sleep=lambda _: self._count_retry(),
            retry_error_callback=lambda _: _give_up(self._url),
        ):
            with attempt:
                return await _once(http, method, path, body, allow)
        raise AssertionError("unreachable")

    def _count_retry(self) -> None:
        self._report.retries += 1


async def _once(http: httpx.AsyncClient, method: str, path: str, body: Any, allow: tuple[int, ...]) -> httpx.Response:
    try:
        response = await http.request(method, path, json=body)
    except httpx.TransportError as error:
        raise _ServerAwayError from error
    if response.status_code >= 500:
        raise _ServerAwayError(response.text)
    if response.is_error and response.status_code not in allow:
        raise Unavailable(f"The server answered {response.status_code} to {method} {path}: {response.text}")
    return response


def _give_up(url: str) -> None:
    raise Unavailable(f"The server at {url} has not answered for {PATIENCE_S} s. Is it running? (lookalike up)")
