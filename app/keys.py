"""Everything derived from the server's secret: assignment tokens, image URLs, and the locks on recruiter ids
and on the secrets of second factors."""

import hashlib
import hmac
import os
import secrets
import struct
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from app.errors import Unavailable
from app.settings import Settings

SHORTEST_SECRET = 32
_IMAGE = struct.Struct(">QHB")


@dataclass(frozen=True)
class ImageRef:
    """One image of one attempt at one trial; `place` counts the trial's images as they are listed."""

    trial_id: int
    attempt: int
    place: int


class Keys:
    """One secret, one key per purpose (HKDF-Expand, RFC 5869), so that no two uses can be confused."""

    def __init__(self, secret: bytes) -> None:
        master = hashlib.sha256(secret).digest()

        def derive(purpose: str, length: int = 32) -> bytes:
            return HKDFExpand(SHA256(), length, purpose.encode()).derive(master)

        self._token = derive("assignment token")
        self._code = derive("completion code")
        self._lookup = derive("identity lookup")
        self._fernet = Fernet(urlsafe_b64encode(derive("identity ciphertext")))
        self._totp = Fernet(urlsafe_b64encode(derive("totp secret")))
        self._browser = Fernet(urlsafe_b64encode(derive("known browser")))
        self._handed_on = Fernet(urlsafe_b64encode(derive("handed on")))
        self._image = AESSIV(derive("image url", 64))

    def assignment_token(self, assignment_id: int) -> str:
        """The participant's credential: 16 bytes of HMAC-SHA256(key, assignment id) as base64url, 22 characters."""
        digest = hmac.digest(self._token, str(assignment_id).encode(), "sha256")[:16]
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def completion_code(self, assignment_id: int) -> str:
        """Eight characters to read aloud: base32 with digits in place of the letters O and I."""
        digest = hmac.digest(self._code, str(assignment_id).encode(), "sha256")
        return b32encode(digest).decode()[:8].translate(str.maketrans("OI", "89"))

    def lookup(self, *parts: str) -> bytes:
        """The keyed hash by which a recruiter's id is found again (32 bytes)."""
        return hmac.digest(self._lookup, "\0".join(parts).encode(), "sha256")

    def encrypt(self, recruiter_id: str) -> bytes:
        return self._fernet.encrypt(recruiter_id.encode())

    def decrypt(self, ciphertext: bytes) -> str:
        return self._fernet.decrypt(ciphertext).decode()

    def lock_totp(self, secret: str) -> bytes:
        return self._totp.encrypt(secret.encode())

    def unlock_totp(self, locked: bytes) -> str:
        return self._totp.decrypt(locked).decode()

    def seal(self, told: str) -> str:
        """What only this server can have said, for a page to hand back: encrypted, signed and dated."""
        return self._handed_on.encrypt(told.encode()).decode()

    def unseal(self, sealed: str, *, max_age_s: int) -> str | None:
        """What `seal` sealed; None for anything else, or if it is older."""
        try:
            return self._handed_on.decrypt(sealed.encode(), ttl=max_age_s).decode()
        except InvalidToken:
            return None

    def know_browser(self, email: str) -> str:
        """What a browser keeps in which somebody has signed in as `email`: no credential, it tells browsers apart."""
        return self._browser.encrypt(f"{secrets.token_urlsafe(12)} {email}".encode()).decode()

    def known_browser(self, kept: str, *, email: str, max_age_s: int) -> str | None:
        """Which of the browsers that know `email` this is; None for any other."""
        try:
            browser, _, whose = self._browser.decrypt(kept.encode(), ttl=max_age_s).decode().partition(" ")
        except (InvalidToken, UnicodeEncodeError):
            return None
        return browser if whose == email else None

    def seal_image(self, ref: ImageRef) -> str:
        """An opaque URL segment (AES-SIV, RFC 5297): the same for the same attempt, so that browsers cache it."""
        packed = _IMAGE.pack(ref.trial_id, ref.attempt, ref.place)
        return urlsafe_b64encode(self._image.encrypt(packed, None)).decode().rstrip("=")

    def open_image(self, sealed: str) -> ImageRef | None:
        """What `seal_image` sealed; None for anything else."""
        try:
            packed = self._image.decrypt(urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)), None)
        except (ValueError, InvalidTag):
            return None
        ref = ImageRef(*_IMAGE.unpack(packed)) if len(packed) == _IMAGE.size else None
        # Base64 is read leniently, stray characters and all: only the one right spelling is an address.
        return ref if ref and self.seal_image(ref) == sealed else None


def token_sha256(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def load_keys(settings: Settings) -> Keys:
    """The keys of SECRET_KEY, or of a file in the home that is made on first use and readable by its owner only."""
    if settings.secret_key is not None:
        return Keys(settings.secret_key.get_secret_value().encode())
    return Keys(_home_secret(settings.home / "secret.key"))


def _home_secret(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_secret(path)
    secret = path.read_bytes()
    if len(secret.strip()) < SHORTEST_SECRET:
        raise Unavailable(
            f"{path} is damaged. Bring it back from a backup. If there is none, remove it to have a new one made: "
            "earlier links then end, and no earlier participant is known."
        )
    return secret


def _make_secret(path: Path) -> None:
    """Written aside and linked into place: of two processes on a fresh home one wins, and neither reads half a key."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
