"""The direct link: whoever has it may take part, or, in a study by invitation, whoever holds a single-use code.

`?participant=` names the person. It is self-chosen and no secret: it tells sittings apart, it proves nothing. Without
it the page makes up an anonymous person, whose name travels in the consent form so that a second click is no second
person. An `?invitation=` is a secret, and is its holder's name.

A study made by hand on Prolific, with the direct link as its address, names people by `?PROLIFIC_PID=`, which is taken
as the participant. Nothing is listed, approved or paid for it from here.
"""

import re
import secrets
from collections.abc import Mapping

from app.errors import BadInput, Forbidden
from app.recruiters.entry import Arrival
from app.recruiters.recruiter import Ending

NAME = "direct"
INVITED = "invitation-"
PROLIFIC_PARTICIPANT = "PROLIFIC_PID"
_FORM = re.compile(r"[\w.@:+-]{1,128}", re.ASCII)


class DirectDoor:
    def __init__(self, *, by_invitation: bool) -> None:
        self._by_invitation = by_invitation

    def identify(self, fields: Mapping[str, str]) -> Arrival:
        """Raises BadInput: `participant`, or Prolific's, is not 1–128 letters, digits or any of . _ @ : + -"""
        if self._by_invitation:
            code = fields.get("invitation", "")
            if not _FORM.fullmatch(code):
                raise Forbidden("This study is by invitation. Please open the link that you were sent, with all of it.")
            return Arrival(NAME, participant=INVITED + code, submission=INVITED + code)
        named_by = "participant" if fields.get("participant") else PROLIFIC_PARTICIPANT
        participant = fields.get(named_by) or anonymous()
        if "{{" in participant:
            raise BadInput(
                f"{named_by} is a placeholder that nobody filled in ({participant[:40]}). Please open the study from "
                "where you found it; a preview does not fill it in."
            )
        if not _FORM.fullmatch(participant) or participant.startswith(INVITED):
            raise BadInput(f"{named_by} takes 1 to 128 characters: letters, digits and . _ @ : + -")
        return Arrival(NAME, participant=participant, submission=participant)

    def handed_on(self, fields: Mapping[str, str], arrival: Arrival) -> dict[str, str]:
        if self._by_invitation:
            return {"invitation": fields["invitation"]}
        return {"participant": arrival.participant}

    def is_preview(self, fields: Mapping[str, str]) -> bool:  # noqa: ARG002
        return False

    def way_back(self, code: str) -> None:  # noqa: ARG002 - they came on their own
        return None

    def ending(self, code: str, *, submission: str | None, submit_to: str | None) -> Ending:  # noqa: ARG002 - they see it
        return Ending("thanks")


def anonymous() -> str:
    return f"anonymous-{secrets.token_urlsafe(16)}"


def new_invitation() -> str:
    return secrets.token_urlsafe(12)
