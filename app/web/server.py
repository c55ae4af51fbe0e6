"""How the application is served: everywhere the same way."""

import uvicorn
from fastapi import FastAPI

from app.settings import Settings
from app.web.http_protocol import BoundedHTTPProtocol

GRACE_S = 5
"""How long requests under way may take when the server is to stop: an upload may never end."""


def server_of(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """A server for sockets that the caller has opened. Who a request comes from, and whether by https, is what a
    trusted proxy says of it; of everybody else, what the connection says."""
    config = uvicorn.Config(
        app,
        http=BoundedHTTPProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)
