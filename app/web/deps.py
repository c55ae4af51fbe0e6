"""What routes ask for."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from app.db import Sessions
from app.keys import Keys
from app.recruiters.configured import Doors
from app.services.attempts import Attempts
from app.services.import_places import ImportPlace
from app.services.uploads import Uploads
from app.settings import Settings
from app.storage import Storage


@dataclass(frozen=True)
class Resources:
    """Everything a server process holds open, made once in the lifespan."""

    sessions: Sessions
    storage: Storage
    keys: Keys
    doors: Doors
    settings: Settings
    imports: ImportPlace
    uploads: Uploads
    attempts: Attempts = field(default_factory=Attempts)


def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


def get_session(resources: Annotated[Resources, Depends(get_resources)]) -> Iterator[Session]:
    with resources.sessions.begin() as session:
        yield session


ResourcesDep = Annotated[Resources, Depends(get_resources)]
# scope="function": the transaction is committed before the response is sent, so a 2xx means the data is on disk.
SessionDep = Annotated[Session, Depends(get_session, scope="function")]
