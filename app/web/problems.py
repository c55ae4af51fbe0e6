"""Errors on their way out: application/problem+json (RFC 9457) for programs, a readable page for people."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from app.errors import LookalikeError, NotSignedIn, Unavailable
from app.web.limits import MAX_BODY
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
    # The address of a form, opened by hand: it has none of what the form sent.
    HTTPStatus.METHOD_NOT_ALLOWED: "This address is not a page. Please open the link that you were given once more.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"A request holds at most {MAX_BODY // 1024} kB.",
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
        back = "/admin" if request.url.path.startswith("/admin") else None
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
        return Retry("post", request.url.path, getattr(request.state, "fields", {}))
    return Retry("get", request.url.path, dict(request.query_params))


def _to_sign_in(request: Request) -> Response | None:
    """People are sent to the sign-in, and a page that refreshes itself is told to go there."""
    url = "/admin/sign-in"
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": url})
    if not wants_page(request):
        return None
    then = f"?then={quote(request.url.path)}" if request.method == "GET" else ""
    return RedirectResponse(url + then, status_code=303)


def add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(LookalikeError)
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

    @app.exception_handler(Unavailable)
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

    @app.exception_handler(RequestValidationError)
    def _malformed(request: Request, error: RequestValidationError) -> Response:
        problems = [
            {"field": ".".join(map(str, problem["loc"][1:])), "problem": problem["msg"]} for problem in error.errors()
        ]
        named = "; ".join(f"{problem['field'] or 'body'}: {problem['problem']}" for problem in problems[:5])
        return respond(
            request,
            status=422,
            title="That does not look right",
            message=f"The request is malformed. {named}",
            details={"errors": problems},
            headers={},
        )

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        message = _HTTP_MESSAGES.get(status, status.description or status.phrase)
        return respond(
            request,
            status=error.status_code,
            title=status.phrase,
            message=message,
            details={},
            headers=dict(error.headers or {}),
        )

    @app.exception_handler(OperationalError)
    def _database(request: Request, error: OperationalError) -> Response:
        log.error("database unavailable", error=str(error.orig))
        return respond(
            request,
            status=503,
            title="Temporarily unavailable",
            message="The database does not answer at the moment. Nothing was lost; please try again.",
            details={},
            headers={"Retry-After": "2"},
        )
