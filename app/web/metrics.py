"""Figures for Prometheus: requests of this process, and how the installation stands.

Requests are told apart by the route's path, never by the address asked for, which may hold tokens.
"""

import hmac
import time
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import NotFound
from app.services import system, workers
from app.settings import Settings
from app.web.addresses import is_from_this_machine, is_reached_by_all
from app.web.deps import Resources, ResourcesDep

router = APIRouter(include_in_schema=False)
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Requests:
    """Counts and times every request by method, route and status."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        labels = ["method", "route"]
        self._answered = Counter("lookalike_requests", "Requests answered", [*labels, "status"], registry=registry)
        self._took = Histogram(
            "lookalike_request_seconds", "Until the last byte", labels, buckets=_BUCKETS, registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Every failure is answered within; whoever gets no answer at all has hung up (nginx's 499).
        started, status = time.perf_counter(), 499

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", None) or "none"
            method = scope["method"] if route != "none" else "any"
            self._answered.labels(method, route, status).inc()
            self._took.labels(method, route).observe(time.perf_counter() - started)


class Standing(Collector):
    """What the database says, asked when it is scraped."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def collect(self) -> Iterator[Metric]:
        with self._resources.sessions() as session:
            present = workers.present(session)
            queues = system.queues(session, present)
            votes = session.execute(_VOTES).all()
        jobs = GaugeMetricFamily("lookalike_jobs", "Jobs in the queues", labels=["queue", "state"])
        at_work = GaugeMetricFamily("lookalike_workers", "Workers that take jobs", labels=["queue"])
        for queue in queues:
            jobs.add_metric([queue.name, "waiting"], queue.waiting)
            jobs.add_metric([queue.name, "under way"], queue.under_way)
            jobs.add_metric([queue.name, "failed"], queue.failed)
            at_work.add_metric([queue.name], queue.workers)
        valid = GaugeMetricFamily("lookalike_valid_votes", "Valid judgments on pool items", labels=["study"])
        for row in votes:
            valid.add_metric([row.slug], row.votes)
        yield from (jobs, at_work, valid)


_VOTES = text("""
    SELECT s.slug, sum((t.votes_0 + t.votes_1) * t.items) AS votes
    FROM pool_tallies t JOIN studies s ON s.id = t.study_id
    GROUP BY s.slug ORDER BY s.slug
""")


@router.get("/metrics")
def metrics(request: Request, resources: ResourcesDep) -> Response:
    """For whoever has the token. Without one set, for this machine only, and only where no proxy is to be expected.
    Others find nothing here."""
    if not _may_read(request, resources.settings):
        raise NotFound("There is no such page.")
    standing = CollectorRegistry()
    standing.register(Standing(resources))
    body = generate_latest(request.app.state.requests) + generate_latest(standing)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _may_read(request: Request, settings: Settings) -> bool:
    if settings.metrics_token is not None:
        wanted = f"Bearer {settings.metrics_token.get_secret_value()}"
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode())
    # A proxy on this machine that leaves no trace looks like this machine.
    return is_from_this_machine(request) and not is_reached_by_all(settings)
