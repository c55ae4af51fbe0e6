"""How long a recruiter is asked again, and when not any more."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import RetryCallState

_STEP_S = 0.1


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how long the first pause is (seconds; doubled each time, up to a minute).

    One try lasts `call_s` at most, however slowly the answer comes, and none begins `total_s` after the first. Once
    `is_over`, nothing is waited for any more: the process ends.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    call_s: float = 30.0
    total_s: float = 90.0
    is_over: Callable[[], bool] = _never

    def ends(self, state: RetryCallState) -> bool:
        """Whether there is no further try."""
        late = (state.seconds_since_start or 0.0) >= self.total_s
        return late or state.attempt_number >= self.tries or self.is_over()

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.is_over():
            time.sleep(min(left, _STEP_S))


PATIENT = Patience()
"""A worker's, and a command's."""
PROMPT = Patience(tries=2, call_s=4.0, total_s=2.0)
"""A server's: somebody waits for the page."""
