"""Who arrives in MTurk's frame: the parameters that it appends to our address, and the way out by its own form.

The frame may have no cookies and no storage; nothing here needs any. Parameters can be made up: they let in, but what
is paid is what MTurk lists.
"""

import re
from collections.abc import Mapping, Sequence

from app.errors import BadInput, Forbidden
from app.recruiters.entry import Arrival
from app.recruiters.recruiter import Ending

NAME = "mturk"
PARAMETERS = ("workerId", "assignmentId", "hitId", "turkSubmitTo")
NOT_ACCEPTED = "ASSIGNMENT_ID_NOT_AVAILABLE"
_ID = re.compile(r"[A-Z0-9]{1,64}")
_WORKER = re.compile(r"A[A-Z0-9]{1,63}")


def submission_of(assignment: str, worker: str) -> str:
    """What a submission is called here: an assignment that one worker gave back may go to another under its old id."""
    return f"{assignment}:{worker}"


class MturkDoor:
    """`sites` are the origins that people may be sent back to."""

    def __init__(self, sites: Sequence[str]) -> None:
        self._sites = sites

    def is_preview(self, fields: Mapping[str, str]) -> bool:
        return fields.get("assignmentId") == NOT_ACCEPTED

    def identify(self, fields: Mapping[str, str]) -> Arrival:
        if self.is_preview(fields):
            raise Forbidden("This is the preview. Please accept the HIT first.")
        missing = [name for name in PARAMETERS if not fields.get(name)]
        if missing:
            raise BadInput(f"The link lacks {', '.join(missing)}. Please open the HIT on MTurk.")
        worker, assignment, submit_to = fields["workerId"], fields["assignmentId"], fields["turkSubmitTo"].rstrip("/")
        if not (_WORKER.fullmatch(worker) and _ID.fullmatch(assignment)):
            raise BadInput("workerId or assignmentId cannot be right. Please open the HIT on MTurk again.")
        if submit_to not in self._sites:
            raise Forbidden("turkSubmitTo is not an address of MTurk's. Please open the HIT on MTurk again.")
        return Arrival(
            NAME, participant=worker, submission=submission_of(assignment, worker), study=None, submit_to=submit_to
        )

    def handed_on(self, fields: Mapping[str, str], arrival: Arrival) -> dict[str, str]:  # noqa: ARG002
        return {name: fields[name] for name in PARAMETERS}

    def way_back(self, code: str) -> None:  # noqa: ARG002 - whoever has nothing to hand in returns the HIT
        return None

    def ending(self, code: str, *, submission: str | None, submit_to: str | None) -> Ending:
        if submission is None or submit_to is None:
            return Ending("thanks")
        fields = {"assignmentId": submission.partition(":")[0], "completion_code": code}
        return Ending("form", url=f"{submit_to}/mturk/externalSubmit", fields=fields)
