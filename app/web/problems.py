"""Errors on their way out: application/problem+json (RFC 9457) for programs, a readable page for people."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from traceback import format_exception
from typing import Any
from urllib.parse import quote

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from psycopg.errors import NumericValueOutOfRange, UntranslatableCharacter
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException

from app.errors import LookalikeError, NotSignedIn, Unavailable
from app.outside import explain
from app.web.pages import MessagePage, Retry, render

log = structlog.get_logger()

PROBLEM = "application/problem+json"
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "a sentence for a human"},
    },
}
_HTTP_MESSAGES = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
}


def documented(problems: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI description says of errors: their statuses, what each means here, and what they look like."""
    return {
        status: {"description": said, "content": {PROBLEM: {"schema": _SCHEMA}}} for status, said in problems.items()
    }


def wants_page(request: Request) -> bool:
    """A browser that navigates asks for HTML; scripts and API clients do not."""
    return "text/html" in request.headers.get("accept", "")


def respond(
    request: Request, *, status: int, title: str, message: str, details: dict[str, object], headers: dict[str, str]
) -> Response:
    if wants_page(request):
        retry = _retry(request) if "Retry-After" in headers else None
        back = "/admin" if request.scope["path"].startswith("/admin") else None
        message_page = MessagePage(title=title, message=message, retry=retry, onward=_onward(details), back=back)
        page = render(request, message_page, status=status)
        page.headers.update(headers)
        return page
    body = {"type": "about:blank", "title": title, "status": status, "detail": message} | details
    return JSONResponse(body, status_code=status, headers=headers, media_type=PROBLEM)


def _onward(details: dict[str, object]) -> str | None:
    url = details.get("return_url")
    return url if isinstance(url, str) else None


def _retry(request: Request) -> Retry:
    """This very request. The fields of a form are those the route has read."""
    if request.method == "POST":
        return Retry("post", request.scope["path"], getattr(request.state, "fields", {}))
    return Retry("get", request.scope["path"], dict(request.query_params))


def _to_sign_in(request: Request) -> Response | None:
    """People are sent to the sign-in, and a page that refreshes itself is told to go there."""
    url = "/admin/sign-in"
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": url})
    if not wants_page(request):
        return None
    then = f"?then={quote(request.scope['path'])}" if request.method == "GET" else ""
    return RedirectResponse(url + then, status_code=303)


def is_foreseen(error: Exception) -> bool:
    return any(kind in _ANSWERS for kind in type(error).__mro__)


def answer_to(request: Request, error: Exception) -> Response:
    """What somebody whose request ended in this error is told."""
    for kind in type(error).__mro__:
        if kind in _ANSWERS:
            return _ANSWERS[kind](request, error)
    return _unexpected(request, error)


def add_error_handlers(app: FastAPI) -> None:
    for kind in _ANSWERS:
        app.add_exception_handler(kind, answer_to)


def _known(request: Request, error: LookalikeError) -> Response:
    if isinstance(error, NotSignedIn) and (to_sign_in := _to_sign_in(request)):
        return to_sign_in
    return respond(
        request,
        status=error.status,
        title=error.title,
        message=error.message,
        details=error.details,
        headers=error.headers,
    )


def _unavailable(request: Request, error: Unavailable) -> Response:
    """What is wrong with the image store is for whoever runs it."""
    log.error("unavailable", error=error.message)
    return respond(
        request,
        status=error.status,
        title=error.title,
        message="A part of this server does not answer at the moment. Nothing was lost; please try again.",
        details={},
        headers={"Retry-After": "2"},
    )


def _malformed(request: Request, error: RequestValidationError) -> Response:
    problems = [_problem(problem) for problem in error.errors()]
    named = "; ".join(f"{problem['field'] or 'body'}: {problem['problem']}" for problem in problems[:5])
    return respond(
        request,
        status=422,
        title="Invalid input",
        message=f"The request is malformed. {named}",
        details={"errors": problems},
        headers={},
    )


def _problem(problem: dict[str, Any]) -> dict[str, str]:
    if problem["type"] == "json_invalid":
        return {"field": "", "problem": f"no JSON that can be used: {problem['ctx']['error']}"}
    return {"field": ".".join(map(str, problem["loc"][1:])), "problem": problem["msg"]}


def _http(request: Request, error: HTTPException) -> Response:
    path = request.scope["path"]
    if error.status_code == HTTPStatus.NOT_FOUND and request.method == "GET" and path.endswith("/") and path.strip("/"):
        # The slash too many that people type. Within this server, whatever the path: `//elsewhere/` leads nowhere else.
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{quote(path.strip('/'))}{query}", status_code=307)
    status = HTTPStatus(error.status_code)
    return respond(
        request,
        status=error.status_code,
        title=status.phrase,
        message=_http_message(request, error),
        details={},
        headers=dict(error.headers or {}),
    )


def _http_message(request: Request, error: HTTPException) -> str:
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return _not_allowed(request, (error.headers or {}).get("Allow", "others"))
    if status in _HTTP_MESSAGES:
        return _HTTP_MESSAGES[status]
    return error.detail if error.detail != status.phrase else status.description or status.phrase


def _not_allowed(request: Request, allowed: str) -> str:
    """The address of a form, opened by hand, has none of what the form sent."""
    path = request.scope["path"]
    if not wants_page(request) or path.startswith("/api/"):
        return f"This address does not take {request.method}, only {allowed}."
    if path.startswith("/admin"):
        return "This address is not a page. Please go back to the dashboard."
    return "This address is not a page. Please open the link that you were given once more."


def _database(request: Request, error: OperationalError) -> Response:
    log.error("database unavailable", error=explain(error))
    return respond(
        request,
        status=503,
        title="Temporarily unavailable",
        message="The database does not answer at the moment. Nothing was lost; please try again.",
        details={},
        headers={"Retry-After": "2"},
    )


def _not_storable(request: Request, error: DataError) -> Response:
    """The last net below the bounds of every field."""
    if not isinstance(error.orig, _NOT_STORABLE) and type(error.orig) is not psycopg.DataError:
        return _unexpected(request, error)
    log.error("a value got past its bounds", error=explain(error), route=_route_of(request))
    return respond(
        request,
        status=422,
        title="Invalid input",
        message="The request has a value that cannot be stored. Nothing was changed.",
        details={},
        headers={},
    )


def _unexpected(request: Request, error: Exception) -> Response:
    # As Python writes it: renderers of logs like to add the values of local variables, secrets among them.
    log.error("unexpected error", route=_route_of(request), exception="".join(format_exception(error)))
    return respond(
        request,
        status=500,
        title="Something went wrong",
        message="This server made a mistake. It is in its log, for whoever runs it. Please try again.",
        details={},
        headers={},
    )


def _route_of(request: Request) -> str:
    """Never the address asked for, which may hold tokens."""
    return getattr(request.scope.get("route"), "path", None) or "none"


_NOT_STORABLE = (NumericValueOutOfRange, UntranslatableCharacter)
_ANSWERS: dict[type[Exception], Callable[[Request, Any], Response]] = {
    LookalikeError: _known,
    Unavailable: _unavailable,
    RequestValidationError: _malformed,
    HTTPException: _http,
    OperationalError: _database,
    DataError: _not_storable,
}
