"""No request ends without an answer in our words."""

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.problems import answer_to

log = structlog.get_logger()


class AnswerErrors:
    """Answers what goes wrong outside the routes, and every error that nobody foresaw.

    It stands within the middleware that adds headers, so that these answers have them as well. Whoever has hung up
    gets none, and that is no error. An answer that has begun cannot be taken back: its error goes on to the server,
    which closes the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            log.debug("the client hung up")
        except Exception as error:
            if has_begun:
                raise
            await answer_to(Request(scope, receive), error)(scope, receive, send)
