"""The direct link: whoever has it may take part.

`?participant=` names the person. It is self-chosen and no secret: it tells sittings apart, it proves nothing. Without
it the page makes up an anonymous person, whose name travels in the consent form so that a second click is no second
person.
"""

import re
import secrets
from collections.abc import Mapping

from app.errors import BadInput
from app.recruiters.arrival import Arrival

NAME = "direct"
_FORM = re.compile(r"[\w.@:+-]{1,128}", re.ASCII)


def identify(fields: Mapping[str, str]) -> Arrival:
    """The person behind `participant`, or a new anonymous one.

    Raises:
        BadInput: `participant` is not 1–128 letters, digits or any of . _ @ : + -
    """
    participant = fields.get("participant") or anonymous()
    if not _FORM.fullmatch(participant):
        raise BadInput("participant takes 1 to 128 characters: letters, digits and . _ @ : + -")
    return Arrival(NAME, participant=participant, submission=participant)


def anonymous() -> str:
    return f"anonymous-{secrets.token_urlsafe(16)}"
