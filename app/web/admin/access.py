"""Who asks, and whether they may: the sign-in cookie, roles in studies, and forms that come from our own pages."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, BinaryIO
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from starlette.datastructures import UploadFile

from app.domain.roles import Role
from app.errors import BadInput, Forbidden
from app.keys import Keys
from app.models.studies import Study
from app.services.accounts import login, members
from app.services.accounts.login import SignedIn
from app.services.accounts.rate_limit import Visitor
from app.web.addresses import client_of
from app.web.body_limit import carries_files
from app.web.deps import SessionDep

COOKIE = "lookalike"
KNOWN_BROWSER = "lookalike-browser"
BROWSER_LASTS_S = 365 * 24 * 3600
PATH = "/admin"
_SAFE = ("GET", "HEAD", "OPTIONS")


def cookie_token(request: Request) -> str:
    return request.cookies.get(COOKIE, "")


def set_cookie(request: Request, response: Response, token: str) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(login.LASTS.total_seconds()),
        path=PATH,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def drop_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")


def set_known_browser(request: Request, response: Response, keys: Keys, *, email: str) -> None:
    """Remember that this browser has signed in as `email`, beyond the sign-in: others' guesses do not lock it out."""
    response.set_cookie(
        KNOWN_BROWSER,
        keys.know_browser(email),
        max_age=BROWSER_LASTS_S,
        path=PATH,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def visitor_of(request: Request, keys: Keys, *, email: str) -> Visitor:
    kept = request.cookies.get(KNOWN_BROWSER, "")
    return Visitor(client_of(request), keys.known_browser(kept, email=email, max_age_s=BROWSER_LASTS_S))


def form_key(token: str) -> str:
    """What every form of a signed-in browser carries, so that no other site can send it (CSRF)."""
    return hashlib.sha256(b"form key:" + token.encode()).hexdigest()[:32]


async def require_own_form(request: Request) -> AsyncIterator[None]:
    """On every route of the dashboard: a request that may change something comes from one of our own pages. Files that
    came with its form are closed in the end.

    Raises:
        Forbidden: it comes from elsewhere, or from a page of an earlier sign-in.
    """
    try:
        if request.method not in _SAFE:
            await _check_form(request)
        yield
    finally:
        await request.close()


async def _check_form(request: Request) -> None:
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_foreign = site not in (None, "same-origin", "none") if site else _is_foreign(origin, request)
    if is_foreign:
        raise Forbidden("This form was sent from another site.")
    # Uploads carry the key in their address, so that nothing is read before it is known who sends it, and where to.
    given: object = request.query_params.get("form_key")
    if given is None and not carries_files(request.scope):
        given = (await request.form()).get("form_key")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), form_key(cookie_token(request)).encode()):
        raise Forbidden("This page is older than your sign-in. Reload it, then send the form again.")


def _is_foreign(origin: str | None, request: Request) -> bool:
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def get_signed_in(request: Request, session: SessionDep) -> SignedIn:
    return login.require(session, cookie_token(request))


SignedInDep = Annotated[SignedIn, Depends(get_signed_in, scope="function")]


def get_site_owner(signed_in: SignedInDep) -> SignedIn:
    """Raises Forbidden for everybody else."""
    members.require_site_owner(signed_in.account)
    return signed_in


SiteOwnerDep = Annotated[SignedIn, Depends(get_site_owner, scope="function")]


@dataclass(frozen=True)
class StudyAccess:
    """A study in the hands of somebody who may do with it what the route does."""

    study: Study
    role: Role
    signed_in: SignedIn


class _As:
    """The dependency behind `AsViewer` and its like: the study of the address, if the role suffices."""

    def __init__(self, wanted: Role) -> None:
        self.wanted = wanted

    def __call__(self, slug: str, signed_in: SignedInDep, session: SessionDep) -> StudyAccess:
        study, role = members.study_as(session, account=signed_in.account, slug=slug, wanted=self.wanted)
        return StudyAccess(study, role, signed_in)


AsViewer = Annotated[StudyAccess, Depends(_As("viewer"), scope="function")]
AsResearcher = Annotated[StudyAccess, Depends(_As("researcher"), scope="function")]
AsOwner = Annotated[StudyAccess, Depends(_As("owner"), scope="function")]


async def read_form(request: Request) -> dict[str, str]:
    """The text fields of a form; a field that comes twice counts as it came last."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


FormDep = Annotated[dict[str, str], Depends(read_form)]


@dataclass(frozen=True)
class Upload:
    """A file sent with a form."""

    name: str
    file: BinaryIO
    normalise: bool


async def read_upload(request: Request) -> Upload:
    """To be asked for after the access to the study: only then is the body read, into a file."""
    if not carries_files(request.scope):
        raise BadInput("Choose a file to import.")
    form = await request.form(max_files=1, max_fields=1)
    archive = form.get("archive")
    if not isinstance(archive, UploadFile):
        raise BadInput("Choose a file to import.")
    return Upload(archive.filename or "upload", archive.file, "normalise" in form)


UploadDep = Annotated[Upload, Depends(read_upload)]
