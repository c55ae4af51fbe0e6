"""The error tree.

LookalikeError                 a sentence for a human and an HTTP status
├── BadInput            422    a file, a form or an argument is wrong; nothing was changed
├── NotSignedIn         401
├── NotFound            404
│   └── NoSuchStudy     404    the command line adds the names there are; a visitor is not told them
├── Forbidden           403    not yours
│   └── Screened        403    the study does not suit this person or their device
├── Conflict            409    the state of things does not allow it now
│   ├── Stale           409    somebody else changed it meanwhile
│   ├── AnswerConflict  409    a different second answer to the same question
│   ├── Unanswered      409    completion asked for too early
│   └── NothingNow      409    nothing to judge at this moment; carries Retry-After
├── Gone                410    closed or finished
│   ├── Used            410    an invitation that was used, or is too old
│   ├── Withdrawn       410    the person has left the study
│   └── Erased          410    the person had their data deleted
├── TooLarge            413
├── TooSlow             408    the request did not arrive in time
├── TooMany             429    too many attempts; carries Retry-After
└── Unavailable         503    database, storage or disk
    └── Damaged         503    stored bytes are not what their key says
"""

from typing import Any

from app.redaction import redact


class LookalikeError(Exception):
    """An error whose message is meant to be read by the person who caused or can mend it."""

    status = 500
    title = "Something went wrong"

    def __init__(self, message: str, **details: Any) -> None:
        self.message = redact(message)
        super().__init__(self.message)
        self.details = details
        self.headers: dict[str, str] = {}


class BadInput(LookalikeError):
    status = 422
    title = "Invalid input"


class NotSignedIn(LookalikeError):
    status = 401
    title = "Please sign in"


class NotFound(LookalikeError):
    status = 404
    title = "Not found"


class NoSuchStudy(NotFound):
    def __init__(self, slug: str) -> None:
        super().__init__(f"There is no study {slug!r}.")
        self.slug = slug


class Forbidden(LookalikeError):
    status = 403
    title = "Not available to you"


class Screened(Forbidden):
    title = "This study does not suit you"

    def __init__(self) -> None:
        super().__init__(
            "The questions about the instructions were not answered rightly, so you cannot take part in this study. "
            "Thank you for your interest."
        )


class Conflict(LookalikeError):
    status = 409
    title = "Not now"


class Stale(Conflict):
    title = "Somebody else changed this"


class AnswerConflict(Conflict):
    title = "Already answered differently"


class Unanswered(Conflict):
    title = "Some trials are still open"


class NothingNow(Conflict):
    title = "Nothing to judge right now"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after)}


class Gone(LookalikeError):
    status = 410
    title = "This study has ended"


class Used(Gone):
    title = "This invitation is over"


class Withdrawn(Gone):
    title = "You have left this study"

    def __init__(self) -> None:
        super().__init__("Your answers are not used. Thank you for your time.")


class Erased(Gone):
    def __init__(self) -> None:
        super().__init__("Your answers were deleted, as you asked for. Nothing more is stored here.")


class TooLarge(LookalikeError):
    status = 413
    title = "Too large"


class TooSlow(LookalikeError):
    status = 408
    title = "Too slow"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.headers = {"Connection": "close"}


class TooMany(LookalikeError):
    status = 429
    title = "Too many attempts"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after)}


class Unavailable(LookalikeError):
    status = 503
    title = "Temporarily unavailable"


class Damaged(Unavailable):
    pass


def os_error_in_words(error: OSError) -> str:
    """`/proc/none: no such file or directory`, without the number."""
    return f"{error.filename}: {error.strerror.lower()}" if error.filename and error.strerror else str(error)
