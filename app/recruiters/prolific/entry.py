"""Who arrives from Prolific: the parameters of its link, signed where the workspace has signed links.

Unsigned parameters can be made up. They let in, but nothing is paid for them: what is paid is what Prolific lists.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import jwt

from app.errors import BadInput, Forbidden
from app.keys import Keys
from app.recruiters.entry import Arrival
from app.recruiters.prolific.recruiter import LINK_PARAMETERS, NAME
from app.recruiters.prolific.signing_keys import SigningKeys
from app.recruiters.recruiter import Ending

TOKEN, SEALED = "prolific_token", "arrival"
ISSUER = "https://www.prolific.com"
CLOCKS_DIFFER_S = 30
READING_TIME_S = 2 * 60 * 60
"""A signed link holds for two minutes; the page it opened, for as long as somebody may read a consent text."""
_FORM = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ProlificDoor:
    """`signing_keys` are Prolific's public keys where links are signed; None where they are not."""

    def __init__(self, keys: Keys, *, signing_keys: SigningKeys | None, public_url: str, workspace: str) -> None:
        self._keys = keys
        self._signing_keys = signing_keys
        self._public_url = public_url
        self._workspace = workspace

    def identify(self, fields: Mapping[str, str]) -> Arrival:
        if self._signing_keys is None:
            return self._arrival(fields)
        if SEALED in fields:
            return self._unseal(fields[SEALED])
        link = fields.get(TOKEN)
        if not link:
            raise Forbidden("Please open this study from Prolific: the link has to be signed by it.")
        claims = self._verify(link, self._signing_keys)
        arrival = self._arrival({**fields, **{name: str(claims["prolific"].get(name, "")) for name in LINK_PARAMETERS}})
        forged = [name for name in LINK_PARAMETERS if name in fields and fields[name] != claims["prolific"].get(name)]
        if forged or claims["sub"] != arrival.submission:
            raise Forbidden(
                "The link does not fit what Prolific has signed. Please open the study from Prolific again."
            )
        return replace(arrival, link=hashlib.sha256(link.encode()).digest())

    def is_preview(self, fields: Mapping[str, str]) -> bool:  # noqa: ARG002
        return False

    def way_back(self, code: str) -> str:
        return f"https://app.prolific.com/submissions/complete?cc={code}"

    def ending(self, code: str, *, submission: str | None, submit_to: str | None) -> Ending:  # noqa: ARG002
        return Ending("redirect", url=self.way_back(code))

    def handed_on(self, fields: Mapping[str, str], arrival: Arrival) -> dict[str, str]:
        if arrival.link is None:
            return {name: fields[name] for name in LINK_PARAMETERS}
        page = secrets.token_urlsafe(9)
        told = [arrival.participant, arrival.submission, arrival.study, arrival.link.hex(), page]
        return {SEALED: self._keys.seal(json.dumps(told))}

    @staticmethod
    def _arrival(fields: Mapping[str, str]) -> Arrival:
        missing = [name for name in LINK_PARAMETERS if not fields.get(name)]
        if missing:
            raise BadInput(
                f"The link lacks {', '.join(missing)}. Please open the study from Prolific, with the whole link."
            )
        wrong = [name for name in LINK_PARAMETERS if not _FORM.fullmatch(fields[name])]
        if wrong:
            raise BadInput(f"{', '.join(wrong)} cannot be right. Please open the study from Prolific again.")
        return Arrival(NAME, fields["PROLIFIC_PID"], fields["SESSION_ID"], study=fields["STUDY_ID"])

    def _verify(self, link: str, signing_keys: SigningKeys) -> dict[str, Any]:
        try:
            key = signing_keys.key_of(link)
            claims: dict[str, Any] = jwt.decode(
                link,
                key,
                algorithms=["RS256"],
                issuer=ISSUER,
                leeway=CLOCKS_DIFFER_S,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "verify_aud": False},
            )
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
            raise Forbidden(
                "This link has expired: it holds for two minutes. Please open the study from Prolific again. If that "
                "does not help, the clock of this server is wrong; please tell the researchers."
            ) from error
        except jwt.PyJWTError as error:
            raise Forbidden("This link is not signed by Prolific. Please open the study from Prolific.") from error
        if not isinstance(claims.get("prolific"), dict) or not self._is_for_us(str(claims["aud"])):
            raise Forbidden("This link was signed for another address. Please open the study from Prolific.")
        if self._workspace and claims["prolific"].get("workspace_id") != self._workspace:
            raise Forbidden("This link was signed for another workspace. Please open the study from Prolific.")
        return claims

    def _is_for_us(self, audience: str) -> bool:
        theirs, ours = urlsplit(audience), urlsplit(self._public_url)
        return (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc)

    def _unseal(self, sealed: str) -> Arrival:
        told = self._keys.unseal(sealed, max_age_s=READING_TIME_S)
        if told is None:
            raise Forbidden("This page is too old to go on from. Please open the study from Prolific again.")
        participant, submission, study, link, page = json.loads(told)
        return Arrival(NAME, participant, submission, study=study, link=bytes.fromhex(link), page=page)
