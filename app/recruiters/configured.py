"""The recruiters as this deployment knows them: through which door people come in, and how to call."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.domain.money import fees_on, load_fees
from app.domain.protocol import Protocol
from app.errors import Unavailable
from app.keys import Keys
from app.recruiters.direct import DirectDoor
from app.recruiters.mturk.entry import MturkDoor
from app.recruiters.prolific import recruiter as prolific
from app.recruiters.prolific.api import Api
from app.recruiters.prolific.entry import ProlificDoor
from app.recruiters.prolific.signing_keys import SigningKeys
from app.recruiters.recruiter import Door, Recruiter, Review
from app.recruiters.retry import PATIENT, Patience
from app.settings import Settings


class Doors:
    """Prolific's public keys are read when a signed link first needs them, and again every hour."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        url = f"{settings.prolific_url.rstrip('/')}/.well-known/study/jwks.json"
        self._signing_keys = SigningKeys(url)

    def of(self, protocol: Protocol) -> Door:
        """Raises Unavailable: this server cannot let people in from there."""
        match protocol.recruiting.recruiter:
            case "direct":
                return DirectDoor(by_invitation=protocol.recruiting.invitations)
            case "prolific":
                return ProlificDoor(
                    self._keys,
                    signing_keys=self._signing_keys if protocol.recruiting.signed_links else None,
                    public_url=self._settings.public_url,
                    workspace=self._settings.prolific_workspace,
                )
            case "mturk" if self._settings.mturk_endpoint_url:
                return MturkDoor(self._settings.mturk_origins)
            case other:
                raise Unavailable(f"This server does not recruit on {other}.")


def review_of(recruiter: str) -> Review:
    """What can be decided about its submissions; at MTurk they are approved, or rejected with a message."""
    return prolific.REVIEW if recruiter == prolific.NAME else Review()


@contextmanager
def calling(settings: Settings, recruiter: str, *, patience: Patience = PATIENT) -> Iterator[Recruiter]:
    """The recruiter's API, as long as the block lasts.

    Raises:
        Unavailable: it is not configured here.
    """
    match recruiter:
        case "prolific":
            if settings.prolific_token is None or not settings.prolific_workspace:
                raise Unavailable(
                    "To recruit on Prolific, set PROLIFIC_TOKEN and PROLIFIC_WORKSPACE (docs/recruiting.md)."
                )
            with closing(Api(settings.prolific_url, settings.prolific_token, patience=patience)) as api:
                yield prolific.Prolific(api, workspace=settings.prolific_workspace)
        case "mturk":
            if settings.mturk_endpoint_url is None:
                raise Unavailable(
                    "Amazon closed MTurk on 30 September 2026. For a service that speaks its protocol, set "
                    "MTURK_ENDPOINT_URL (docs/recruiting.md)."
                )
            from app.recruiters.mturk.api import Api as MturkApi  # boto3 takes a third of a second to import
            from app.recruiters.mturk.recruiter import Mturk

            terms = fees_on(datetime.now(UTC).date(), "mturk", load_fees(settings.fees))
            api_of_mturk = MturkApi(
                settings.mturk_endpoint_url, credentials=settings.aws_credentials, patience=patience
            )
            with closing(api_of_mturk) as mturk:
                yield Mturk(mturk, fees=terms)
        case other:
            raise Unavailable(f"This server does not recruit on {other}.")


def require_ready(settings: Settings, recruiter: str) -> None:
    """Raises Unavailable: the recruiter is not configured here, or it would send people to an address that only this
    machine can reach. A recruiter on this machine, an imitation, may."""
    with calling(settings, recruiter):
        pass
    if is_local(settings.public_url) and not is_local(_endpoint(settings, recruiter)):
        raise Unavailable(
            f"People would be sent to {settings.public_url or 'no address'}, which only this machine reaches. Set "
            "PUBLIC_URL to where participants reach the server, for every server and worker (docs/recruiting.md)."
        )


def require_https(settings: Settings, recruiter: str) -> None:
    """Raises Unavailable: people would send what they answer, and who they are, for everybody to read. Within this
    machine or its network a recruiter on this machine, an imitation, may send them so."""
    parts = urlsplit(settings.public_url)
    if parts.scheme == "https":
        return
    is_near = is_local(settings.public_url) or _is_private(parts.hostname)
    if not (is_near and is_local(_endpoint(settings, recruiter))):
        raise Unavailable(
            f"People would be sent to {settings.public_url} without encryption, and recruiters ask for HTTPS. Put a "
            "TLS proxy in front of the server (docs/deployment.md), and set PUBLIC_URL to its https:// address, for "
            "every server and worker."
        )


def _endpoint(settings: Settings, recruiter: str) -> str:
    return settings.prolific_url if recruiter == prolific.NAME else settings.mturk_endpoint_url or ""


def _is_private(host: str | None) -> bool:
    try:
        return ip_address(host or "").is_private
    except ValueError:  # a name
        return False


def is_local(url: str) -> bool:
    """Whether the URL leads nowhere but to the machine it is opened on."""
    host = urlsplit(url).hostname or "localhost"
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
