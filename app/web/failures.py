"""No request ends without an answer in our words."""

from collections.abc import Callable

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Unavailable
from app.web.problems import answer_to, is_foreseen

log = structlog.get_logger()


class AnswerErrors:
    """Answers what goes wrong outside the routes, and every error that nobody foresaw.

    It stands within the middleware that adds headers, so that these answers have them as well. Whoever has hung up
    gets none, and that is no error. An answer that has begun cannot be taken back: its error goes on to the server,
    which closes the connection.

    What nobody foresaw is no mistake where the database has been upgraded below this server: columns are gone, plans
    and documents are not what they were. Servers of the new version are on their way.
    """

    def __init__(self, app: ASGIApp, *, has_current_schema: Callable[[], bool] = lambda: True) -> None:
        self._app = app
        self._has_current_schema = has_current_schema

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
            if not is_foreseen(error):
                error = await self._or_upgraded(error)
            await answer_to(Request(scope, receive), error)(scope, receive, send)

    async def _or_upgraded(self, error: Exception) -> Exception:
        try:
            if await to_thread.run_sync(self._has_current_schema):
                return error
        except SQLAlchemyError as away:
            return away if is_foreseen(away) else error
        return Unavailable(
            f"The database has been upgraded below this server ({type(error).__name__}). Start it anew, in the version "
            "that the database has."
        )
