"""Calls to MTurk. Each may be made again: those that create or pay carry a token that makes it happen once."""

import re
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)
from botocore.parsers import ResponseParserError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from app.recruiters.patience import PATIENT, Patience
from app.recruiters.recruiter import NothingHappened, OutcomeUnclear, RecruiterError, Refused

REGION = "us-east-1"  # MTurk never had another
PAGE_SIZE = 100
_LONGEST_WAIT_S = 60.0
_ID = re.compile(r"\b[A-Z0-9]{13,}\b")


class Api:
    def __init__(self, url: str, *, patience: Patience = PATIENT) -> None:
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30)
        self._client = boto3.client("mturk", region_name=REGION, endpoint_url=url, config=config)
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
        first, most = self._patience.first_wait_s, self._patience.tries
        for attempt in Retrying(
            retry=retry_if_exception_type(RecruiterError),
            stop=stop_after_attempt(most),
            wait=wait_exponential_jitter(multiplier=first, max=_LONGEST_WAIT_S, jitter=first),
            reraise=True,
        ):
            with attempt:
                try:
                    return self._once(operation, given)
                except OutcomeUnclear as error:
                    lost = error.message
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
            answer: dict[str, Any] = getattr(self._client, operation)(**given)
        except ClientError as error:
            said, status = error.response, error.response["ResponseMetadata"]["HTTPStatusCode"]
            if said["Error"]["Code"] == "ThrottlingException" or status == 429:
                raise NothingHappened(f"MTurk asks for patience at {operation}.") from error
            if status >= 500:
                raise OutcomeUnclear(f"MTurk answered {status} to {operation}.") from error
            message = _ID.sub("…", said["Error"].get("Message", "no reason given"))
            raise Refused(f"MTurk refused {operation}: {message}", code=said.get("TurkErrorCode", "")) from error
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise NothingHappened(f"MTurk cannot be reached: {_ID.sub('…', str(error))}") from error
        except (ParamValidationError, NoCredentialsError) as error:
            raise Refused(f"MTurk was not called: {_ID.sub('…', str(error))}") from error
        except (BotoCoreError, ResponseParserError) as error:
            raise OutcomeUnclear(f"MTurk's answer to {operation} was lost: {type(error).__name__}") from error
        return answer
