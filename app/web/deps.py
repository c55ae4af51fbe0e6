"""What routes ask for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool
from sqlalchemy.orm import Session

from app.db import POOL_SIZE, Sessions, has_current_schema
from app.keys import Keys
from app.recruiters.configured import Doors
from app.services.accounts.rate_limit import Attempts
from app.services.assignments.enrolment_quota import Enrolments
from app.services.items.import_sources import ImportSource
from app.services.items.uploads import Uploads
from app.settings import Settings
from app.storage import Storage
from app.web.places import Outside, Places


@dataclass(frozen=True)
class Resources:
    """Everything a server process holds open, made once in the lifespan."""

    sessions: Sessions
    storage: Storage
    keys: Keys
    doors: Doors
    settings: Settings
    imports: ImportSource
    uploads: Uploads
    enrolments: Enrolments
    attempts: Attempts = field(default_factory=Attempts)
    places: Places = field(default_factory=lambda: Places(POOL_SIZE, patience_s=15))
    outside: Outside = field(default_factory=lambda: Outside(32, patience_s=1))

    def has_current_schema(self) -> bool:
        return has_current_schema(self.sessions.kw["bind"])


def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def get_session(resources: Annotated[Resources, Depends(get_resources)]) -> AsyncIterator[Session]:
    """A transaction, and before it a place: whoever waits for one holds nothing.

    A synchronous route hops through several threads: dependencies, route, serialisation. If waiting requests could
    take every thread, the one that holds the row they wait for would find none to finish on. As there are more threads
    than places, it always does.
    """
    async with resources.places.one(), contextmanager_in_threadpool(resources.sessions.begin()) as session:
        yield session


ResourcesDep = Annotated[Resources, Depends(get_resources)]
# scope="function": the transaction is committed before the response is sent, so a 2xx means the data is on disk.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
