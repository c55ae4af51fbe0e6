"""Calls to MTurk. Each may be made again: those that create or pay carry a token that makes it happen once."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from tenacity import Retrying, retry_if_exception_type, retry_if_not_exception_type, wait_exponential_jitter

from app.errors import Unavailable
from app.outside import explain
from app.recruiters.outbound import NoAnswerError, NotCalledError, outbound_to
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, RecruiterError, Refused
from app.recruiters.retry import PATIENT, Patience

REGION = "us-east-1"  # MTurk never had another
PAGE_SIZE = 100
_LONGEST_WAIT_S = 60.0
_ID = re.compile(r"\b[A-Z0-9]{13,}\b")


class _NotCalled(NothingHappened):
    """Not worth another try."""


class _Hangs(OutcomeUnclear):
    pass


class Api:
    """`credentials` are boto3's arguments of that name; without any it looks for them itself."""

    def __init__(self, url: str, *, credentials: Mapping[str, str] | None = None, patience: Patience = PATIENT) -> None:
        """Raises Unavailable: what boto3 finds of credentials cannot be used."""
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30)
        try:
            session = boto3.Session(**(credentials or {}))
            self._client = session.client("mturk", region_name=REGION, endpoint_url=url, config=config)
        except BotoCoreError as error:
            raise Unavailable(
                f"MTurk cannot be called ({type(error).__name__}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "AWS_PROFILE."
            ) from None
        self._outbound = outbound_to(url)
        self._patience = patience

    def close(self) -> None:
        self._client.close()

    def pages(self, operation: str, results: str, **given: Any) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"MaxResults": PAGE_SIZE}
        while page:
            answer = self.call(operation, **given, **page)
            yield from answer[results]
            token = answer.get("NextToken")
            page = {"MaxResults": PAGE_SIZE, "NextToken": token} if token else {}

    def call(self, operation: str, **given: Any) -> dict[str, Any]:
        """The answer.

        Raises:
            NothingHappened: certainly not done. OutcomeUnclear: every answer was lost.
            Refused: as MTurk says; `details["lost"]` where the answer to an earlier try was lost, so that this may be
                a refusal to do the same again.
        """
        lost = ""
        first = self._patience.first_wait_s
        for attempt in Retrying(
            retry=retry_if_exception_type(RecruiterError) & retry_if_not_exception_type(_NotCalled),
            stop=self._patience.ends,
            sleep=self._patience.sleep,
            wait=wait_exponential_jitter(multiplier=first, max=_LONGEST_WAIT_S, jitter=first),
            reraise=True,
        ):
            with attempt:
                try:
                    return self._once(operation, given)
                except OutcomeUnclear as error:
                    lost = error.message
                    if isinstance(error, _Hangs) and self._patience.ends(attempt.retry_state):
                        self._outbound.rest()
                    raise
                except NothingHappened as error:
                    if lost:
                        raise OutcomeUnclear(lost) from error
                    raise
                except Refused as error:
                    error.details["lost"] = lost
                    raise
        raise AssertionError  # Retrying ends in a return or an exception

    def _once(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._outbound.call(
                lambda: getattr(self._client, operation)(**given), self._patience
            )
        except NotCalledError as error:
            raise _NotCalled(f"MTurk {error}.") from None
        except NoAnswerError:
            raise _Hangs(f"MTurk's answer to {operation} did not come in time.") from None
        except ClientError as error:
            said, status = error.response, error.response["ResponseMetadata"]["HTTPStatusCode"]
            if said["Error"]["Code"] == "ThrottlingException" or status == 429:
                raise NothingHappened(f"MTurk asks for patience at {operation}.") from error
            if status >= 500:
                raise OutcomeUnclear(f"MTurk answered {status} to {operation}.") from error
            message = _ID.sub("…", said["Error"].get("Message", "no reason given"))
            raise Refused(f"MTurk refused {operation}: {message}", code=said.get("TurkErrorCode", "")) from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise NothingHappened(f"MTurk cannot be reached: {explain(error)}.") from None
        except ReadTimeoutError as error:
            raise _Hangs(f"MTurk's answer to {operation} was lost: {explain(error)}.") from None
        except ParamValidationError as error:
            raise Refused(f"MTurk was not called: {_ID.sub('…', str(error))}") from None
        except (NoCredentialsError, PartialCredentialsError):
            raise Refused("MTurk was not called: there are no credentials. Set AWS_ACCESS_KEY_ID and more.") from None
        except HTTPClientError as error:
            if isinstance(error.kwargs.get("error"), ValueError):  # a header or an address that cannot be sent
                raise Refused("MTurk was not called: the request cannot be sent. Check the credentials.") from None
            raise OutcomeUnclear(f"MTurk's answer to {operation} was lost: {explain(error)}.") from None
        except (BotoCoreError, ResponseParserError) as error:
            raise OutcomeUnclear(f"MTurk's answer to {operation} was lost: {explain(error)}.") from None
        return answer
