"""HTTP with Prolific: what is tried again, and what is not."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import structlog
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from app.outside import explain
from app.recruiters.outbound import NoAnswerError, NotCalledError, outbound_to
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, RecruiterError, Refused
from app.recruiters.retry import PATIENT, Patience
from app.redaction import redact

log = structlog.get_logger()

PAGE_SIZE = 100
_LONGEST_WAIT_S = 60.0
_LONGEST_COMPLAINT = 500
_ID = re.compile(r"\b[0-9a-f]{24}\b")
_CHECK = "Check PROLIFIC_URL, PROLIFIC_WORKSPACE and PROLIFIC_TOKEN."


class _TryAgainError(Exception):
    """`hangs`: no answer came, and none came that says no."""

    def __init__(self, error: RecruiterError, *, after_s: float | None = None, hangs: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s
        self.hangs = hangs


class Api:
    """Calls that answer JSON objects. 429 and a connection that never came about mean that nothing happened, so the
    call is tried again. After a 5xx, a lost response or a page of HTML only a call that may be `repeated` is. What
    never left this machine, such as a header that cannot be sent, will not leave it at the next try either."""

    def __init__(self, url: str, token: SecretStr, *, patience: Patience = PATIENT) -> None:
        self._http = httpx.Client(base_url=url, timeout=httpx.Timeout(30, connect=10))
        self._token = token
        self._outbound = outbound_to(url)
        self._patience = patience

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        return self._json(self.call("GET", path, params=params, repeatable=True))

    def pages(self, path: str, **params: str | int) -> Iterator[dict[str, Any]]:
        """Every result of every page. Prolific answers 404 past the end; a server that ignores `page` ends, too."""
        page, last = 1, None
        while True:
            query = {**params, "page": page, "page_size": PAGE_SIZE}
            response = self.call("GET", path, params=query, repeatable=True, allow=(404,) if page > 1 else ())
            if response.status_code == 404:
                return
            body = self._json(response)
            results = body.get("results")
            if not isinstance(results, list):
                raise NothingHappened(f"Prolific answered a listing without results to GET {path}.")
            if not results or results == last:
                return
            yield from results
            if not _has_next(body):
                return
            page, last = page + 1, results

    def send(self, method: str, path: str, body: dict[str, Any], *, repeatable: bool = True) -> Any:
        """The answer's JSON: an object, or a string where Prolific sends one."""
        response = self.call(method, path, json=body, repeatable=repeatable)
        return None if response.status_code == 204 else response.json()

    def call(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool,
        params: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
        allow: tuple[int, ...] = (),
    ) -> httpx.Response:
        """The answer itself.

        Raises:
            NothingHappened: certainly not done, or repeated in vain. OutcomeUnclear: not `repeatable`, and no answer.
            Refused: a 4xx that is not in `allow`.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(_TryAgainError),
            stop=self._patience.ends,
            wait=self._wait,
            sleep=self._patience.sleep,
            retry_error_callback=self._give_up,
        ):
            with attempt:
                return self._once(method, path, repeatable=repeatable, params=params, json=json, allow=allow)
        raise AssertionError  # Retrying ends in a return or an exception

    def _once(
        self, method: str, path: str, *, repeatable: bool, allow: tuple[int, ...], **given: Any
    ) -> httpx.Response:
        called = f"{method} {_ID.sub('…', path)}"
        response = self._answer(called, method, path, repeatable=repeatable, **given)
        if response.status_code == 429:
            after = _seconds(response.headers.get("Retry-After"))
            raise _TryAgainError(NothingHappened(f"Prolific asks for patience at {called}."), after_s=after)
        if response.status_code >= 500:
            raise self._lost(f"Prolific answered {response.status_code} to {called}.", repeatable)
        if response.has_redirect_location or 300 <= response.status_code < 400:
            raise NothingHappened(f"Prolific sends {called} elsewhere ({response.status_code}). {_CHECK}")
        if response.is_error and response.status_code not in allow:
            raise Refused(f"Prolific refused {called} ({response.status_code}): {_complaint(response)}")
        is_empty = response.status_code == 204 and method != "GET"
        if response.status_code not in allow and not is_empty and not _is_json(response):
            raise self._lost(f"Prolific answered a page instead of data to {called}.", repeatable)
        return response

    def _answer(self, called: str, method: str, path: str, *, repeatable: bool, **given: Any) -> httpx.Response:
        """What came back, whatever it is."""
        cannot_be_sent = NothingHappened(f"Prolific was not called: {called} cannot be sent. {_CHECK}")
        try:
            headers = {"Authorization": f"Token {self._token.get_secret_value()}"}
            request = self._http.build_request(method, path, headers=headers, **given)
        except (httpx.InvalidURL, ValueError):
            raise cannot_be_sent from None
        try:
            return self._outbound.call(lambda: self._http.send(request), self._patience)
        except NotCalledError as error:
            raise NothingHappened(f"Prolific {error}.") from None
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):
            raise cannot_be_sent from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            hangs = isinstance(error, httpx.ConnectTimeout)
            unreachable = NothingHappened(f"Prolific cannot be reached: {explain(error)}.")
            raise _TryAgainError(unreachable, hangs=hangs) from None
        except NoAnswerError:
            message = f"Prolific's answer to {called} did not come in time."
            raise self._lost(message, repeatable, hangs=not self._patience.is_over()) from None
        except httpx.RequestError as error:
            message = f"Prolific's answer to {called} was lost: {explain(error)}."
            raise self._lost(message, repeatable, hangs=isinstance(error, httpx.TimeoutException)) from None

    def _lost(self, message: str, repeatable: bool, *, hangs: bool = False) -> Exception:
        if repeatable:
            return _TryAgainError(NothingHappened(message), hangs=hangs)
        if hangs:
            self._outbound.rest()
        return OutcomeUnclear(message)

    def _give_up(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, _TryAgainError)
        log.warning("gave up calling Prolific", problem=str(error.error))
        if error.hangs:
            self._outbound.rest()
        raise error.error from None

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        pause = self._patience.first_wait_s
        backoff = wait_exponential_jitter(multiplier=pause, max=_LONGEST_WAIT_S, jitter=pause)
        asked = error.after_s if isinstance(error, _TryAgainError) and error.after_s else 0.0
        return max(min(asked, _LONGEST_WAIT_S), backoff(state))

    @staticmethod
    def _json(response: httpx.Response) -> dict[str, Any]:
        body = response.json()
        if not isinstance(body, dict):
            raise NothingHappened(f"Prolific answered something unexpected to {response.request.url.path}.")
        return body


def _has_next(body: dict[str, Any]) -> bool:
    """Listings without links are read until they are empty or end in a 404."""
    links = body.get("_links")
    if not isinstance(links, dict) or "next" not in links:
        return True
    following = links["next"]
    return bool(following.get("href") if isinstance(following, dict) else following)


def _seconds(header: str | None) -> float | None:
    try:
        return float(header) if header else None
    except ValueError:  # a date: our own backoff will do
        return None


def _is_json(response: httpx.Response) -> bool:
    try:
        response.json()
    except (ValueError, RecursionError):
        return False
    return True


def _complaint(response: httpx.Response) -> str:
    """Prolific's own words, without the ids in them, which may be people's: `detail` is a string, a list of them, or an
    object of lists by field."""
    if not _is_json(response):
        return "no reason given"
    error = response.json()
    error = error.get("error", error) if isinstance(error, dict) else error
    detail = error.get("detail", error) if isinstance(error, dict) else error
    if isinstance(detail, dict):
        detail = "; ".join(f"{name}: {_joined(value)}" for name, value in detail.items())
    return redact(_ID.sub("…", _joined(detail)))[:_LONGEST_COMPLAINT]  # a cut secret would not be known


def _joined(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
