"""The recruiters as this deployment knows them: through which door people come in, and how to call."""

from collections.abc import Iterator
from contextlib import contextmanager

import jwt

from app.domain.protocol import Protocol
from app.errors import Unavailable
from app.keys import Keys
from app.recruiters.direct import DirectDoor
from app.recruiters.prolific.api import Api, Patience
from app.recruiters.prolific.door import ProlificDoor
from app.recruiters.prolific.recruiter import Prolific
from app.recruiters.recruiter import Door, Recruiter
from app.settings import Settings

JWKS_HOLDS_S = 60 * 60


class Doors:
    """Prolific's public keys are read when a signed link first needs them, and again every hour."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        url = f"{settings.prolific_url.rstrip('/')}/.well-known/study/jwks.json"
        self._jwks = jwt.PyJWKClient(url, lifespan=JWKS_HOLDS_S, timeout=10)

    def of(self, protocol: Protocol) -> Door:
        """Raises Unavailable: this server cannot let people in from there."""
        match protocol.recruiting.recruiter:
            case "direct":
                return DirectDoor(by_invitation=protocol.recruiting.invitations)
            case "prolific":
                return ProlificDoor(
                    self._keys,
                    jwks=self._jwks if protocol.recruiting.signed_links else None,
                    public_url=self._settings.public_url,
                    workspace=self._settings.prolific_workspace,
                )
            case other:
                raise Unavailable(f"This server does not recruit on {other}.")


@contextmanager
def calling(settings: Settings, recruiter: str, *, patience: Patience = Patience()) -> Iterator[Recruiter]:  # noqa: B008
    """The recruiter's API, as long as the block lasts.

    Raises:
        Unavailable: it is not configured here.
    """
    if recruiter != "prolific":
        raise Unavailable(f"This server does not recruit on {recruiter}.")
    if settings.prolific_token is None or not settings.prolific_workspace:
        raise Unavailable("To recruit on Prolific, set PROLIFIC_TOKEN and PROLIFIC_WORKSPACE (docs/recruiting.md).")
    api = Api(settings.prolific_url, settings.prolific_token, patience=patience)
    try:
        yield Prolific(api, workspace=settings.prolific_workspace)
    finally:
        api.close()
