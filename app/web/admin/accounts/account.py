"""One's own account: password, second factor and API tokens."""

from collections.abc import Sequence

import pyotp
import segno
from fastapi import APIRouter, Request, Response

from app.errors import BadInput
from app.models.accounts import ApiToken
from app.services.accounts import accounts, api_tokens, login
from app.services.accounts.login import SignedIn
from app.web.admin.access import FormDep, SignedInDep, set_cookie
from app.web.admin.pages import AccountPage, frame_of, go, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.numbers import RowId

router = APIRouter(prefix="/account")
URL = "/admin/account"


def _page(
    request: Request,
    session: SessionDep,
    signed_in: SignedIn,
    *,
    proposed: str | None = None,
    new_token: str | None = None,
    problems: dict[str, str] | None = None,
) -> AccountPage:
    return AccountPage(
        "Your account",
        frame_of(request, signed_in),
        email=signed_in.account.email,
        has_totp=signed_in.account.totp_step is not None,
        totp=None if proposed is None else _drawn(proposed),
        tokens=api_tokens.of_account(session, signed_in.account),
        new_token=new_token,
        problems=problems or {},
    )


def _drawn(uri: str) -> tuple[str, str]:
    secret = pyotp.parse_uri(uri).secret
    grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return segno.make(uri, error="m").svg_data_uri(scale=5, border=3, light="white"), grouped


@router.get("")
def account_page(request: Request, signed_in: SignedInDep, session: SessionDep) -> Response:
    return show(request, _page(request, session, signed_in))


@router.post("/password")
def change_password(
    request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    """Change the password; every other browser is signed out, and API tokens are revoked if that is wanted."""
    account = signed_in.account
    resources.attempts.count_signed_in(signed_in.sign_in.token_sha256)
    if accounts.authenticate(session, email=account.email, password=form.get("present", "")) is None:
        wrong = {"present": "This is not your present password."}
        return show(request, _page(request, session, signed_in, problems=wrong), status=422)
    try:
        accounts.set_password(session, account=account, password=form.get("password", ""))
    except BadInput as error:
        return show(request, _page(request, session, signed_in, problems=error.details["fields"]), status=422)
    if "revoke_tokens" in form:
        api_tokens.revoke_all(session, account=account)
    token, sign_in = login.start(session, account=account)
    tokens = _said_of_tokens(api_tokens.in_force(session, account))
    notice = f"Your password is changed. Other browsers were signed out. {tokens}"
    response = go(URL, SignedIn(account, sign_in), notice)
    set_cookie(request, response, token)
    return response


def _said_of_tokens(left: Sequence[ApiToken]) -> str:
    if not left:
        return "No API token is in force."
    names = ", ".join(token.name for token in left)
    return f"API tokens stay in force until you revoke them: {names}."


@router.post("/totp")
def propose_totp(request: Request, signed_in: SignedInDep, session: SessionDep, resources: ResourcesDep) -> Response:
    uri = accounts.propose_totp(session, resources.keys, account=signed_in.account)
    return show(request, _page(request, session, signed_in, proposed=uri))


@router.post("/totp/confirm")
def confirm_totp(
    request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    resources.attempts.count_signed_in(signed_in.sign_in.token_sha256)
    try:
        accounts.confirm_totp(session, resources.keys, account=signed_in.account, code=form.get("code", ""))
    except BadInput as error:
        uri = accounts.propose_totp(session, resources.keys, account=signed_in.account)
        return show(
            request, _page(request, session, signed_in, proposed=uri, problems={"code": error.message}), status=422
        )
    return go(URL, signed_in, "From now on, signing in asks for a code as well.")


@router.post("/totp/drop")
def drop_totp(
    request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    account = signed_in.account
    resources.attempts.count_signed_in(signed_in.sign_in.token_sha256)
    if accounts.authenticate(session, email=account.email, password=form.get("present", "")) is None:
        return show(
            request,
            _page(request, session, signed_in, problems={"totp": "This is not your present password."}),
            status=422,
        )
    accounts.drop_totp(session, account=account)
    return go(URL, signed_in, "Signing in asks for the password only.")


@router.post("/tokens")
def make_token(request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep) -> Response:
    try:
        token = api_tokens.make(
            session,
            account=signed_in.account,
            name=form.get("name", ""),
            scope=form.get("scope", ""),
            days=int(days) if (days := form.get("days", "")) in map(str, api_tokens.LASTS) else 0,
        )
    except BadInput as error:
        return show(request, _page(request, session, signed_in, problems=error.details["fields"]), status=422)
    session.flush()
    return show(request, _page(request, session, signed_in, new_token=token))


@router.post("/tokens/revoke-all")
def revoke_all_tokens(signed_in: SignedInDep, session: SessionDep) -> Response:
    names = api_tokens.revoke_all(session, account=signed_in.account)
    return go(URL, signed_in, f"Revoked: {', '.join(names)}." if names else "No API token was in force.")


@router.post("/tokens/{token_id}/revoke")
def revoke_token(token_id: RowId, signed_in: SignedInDep, session: SessionDep) -> Response:
    api_tokens.revoke(session, account=signed_in.account, token_id=token_id)
    return go(URL, signed_in, "The API token is revoked.")
