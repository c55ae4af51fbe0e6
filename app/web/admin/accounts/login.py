"""Signing in and out, and joining by invitation."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from app.errors import BadInput, NotSignedIn
from app.models.accounts import Account
from app.services.accounts import accounts, login, members
from app.web.admin.access import FormDep, cookie_token, drop_cookie, set_cookie, set_known_browser, visitor_of
from app.web.admin.pages import CodePage, InvitationPage, SignInPage, frame_of, go, show
from app.web.deps import ResourcesDep, SessionDep

router = APIRouter()


def local(path: str) -> str:
    """Where to go after signing in: a page of the dashboard, never another site's."""
    is_ours = path == "/admin" or (path.startswith("/admin/") and path.isprintable() and "\\" not in path)
    return path if is_ours else "/admin"


@router.get("/sign-in")
def sign_in_page(request: Request, then: str = "/admin") -> Response:
    return show(request, SignInPage("Sign in", frame_of(request), then=local(then)))


@router.post("/sign-in")
def sign_in(request: Request, form: FormDep, session: SessionDep, resources: ResourcesDep) -> Response:
    email, then = form.get("email", "").strip().lower(), local(form.get("then", ""))
    visitor = visitor_of(request, resources.keys, email=email)
    resources.attempts.count_password(visitor, email=email)
    try:
        token, sign_in = login.sign_in(session, email=email, password=form.get("password", ""))
    except BadInput as error:
        page = SignInPage(
            "Sign in", frame_of(request), then=then, values={"email": email}, problems={"": error.message}
        )
        return show(request, page, status=422)
    resources.attempts.forgive(visitor, email=email)
    response = go(then if sign_in.is_confirmed else f"/admin/sign-in/code?then={quote(then)}")
    set_cookie(request, response, token)
    if sign_in.is_confirmed:
        set_known_browser(request, response, resources.keys, email=email)
    return response


@router.get("/sign-in/code")
def code_page(request: Request, session: SessionDep, then: str = "/admin") -> Response:
    email = login.awaiting_code(session, cookie_token(request))
    if email is None:
        return go(local(then))
    return show(request, CodePage("Sign in", frame_of(request), email=email, then=local(then)))


@router.post("/sign-in/code")
def give_code(request: Request, form: FormDep, session: SessionDep, resources: ResourcesDep) -> Response:
    token, then = cookie_token(request), local(form.get("then", ""))
    email = login.awaiting_code(session, token)
    if email is None:
        raise NotSignedIn("Your sign-in has ended. Please sign in again.")
    resources.attempts.count_code(visitor_of(request, resources.keys, email=email), email=email)
    try:
        login.give_code(session, resources.keys, token=token, code=form.get("code", ""))
    except BadInput as error:
        page = CodePage("Sign in", frame_of(request), email=email, then=then, problems={"code": error.message})
        return show(request, page, status=422)
    response = go(then)
    set_known_browser(request, response, resources.keys, email=email)
    return response


@router.post("/sign-out")
def sign_out(request: Request, session: SessionDep) -> Response:
    login.sign_out(session, token=cookie_token(request))
    response = go("/admin/sign-in")
    drop_cookie(response)
    return response


def _invitation_page(
    request: Request, session: SessionDep, token: str, values: dict[str, str], problems: dict[str, str]
) -> InvitationPage:
    found = members.invitation_of(session, token)
    return InvitationPage(
        f"Join {found.slug}",
        frame_of(request),
        slug=found.slug,
        email=found.invitation.email,
        role=found.invitation.role,
        is_known=accounts.is_known(session, found.invitation.email),
        is_signed_in=_signed_in(request, session) is not None,
        url=f"/admin/invitations/{token}",
        values=values,
        problems=problems,
    )


def _signed_in(request: Request, session: SessionDep) -> Account | None:
    try:
        return login.require(session, cookie_token(request)).account
    except NotSignedIn:
        return None


@router.get("/invitations/{token}")
def invitation_page(request: Request, token: str, session: SessionDep) -> Response:
    return show(request, _invitation_page(request, session, token, {}, {}))


@router.post("/invitations/{token}")
def accept_invitation(
    request: Request, token: str, form: FormDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    """Join as whoever is signed in, or as a new account with the invited address."""
    account = _signed_in(request, session)
    if account is not None:
        return go(f"/admin/studies/{members.accept(session, token=token, account=account)}")
    invited = members.invitation_of(session, token).invitation.email
    try:
        with session.begin_nested():
            account = accounts.create(
                session, email=invited, password=form.get("password", ""), name=form.get("name", "")
            )
    except BadInput as error:
        problems = error.details["fields"]
        values = {"name": form.get("name", "")}
        return show(request, _invitation_page(request, session, token, values, problems), status=422)
    slug = members.accept(session, token=token, account=account)
    cookie, _ = login.start(session, account=account)
    response = go(f"/admin/studies/{slug}")
    set_cookie(request, response, cookie)
    set_known_browser(request, response, resources.keys, email=account.email)
    return response
