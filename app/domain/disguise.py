"""Images whose lengths and bytes differ in nothing that marks a sentinel, but for what the picture itself is.

A sentinel shows one image twice, so equal lengths or equal bytes would give it away. (What still does, to a program
that reads the file: the length of the picture's own chunk.) Derivatives are WebP files in the extended format; when one
is served, an unknown chunk, which readers must skip (RFC 9649, section 2.7.1.6), brings it to the length of its trial's
bucket and makes its bytes unlike any other's.
"""

import hashlib
import struct

BUCKET = 16 * 1024
_HEADER = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_PADDING = b"LKAL"


def extended_webp(simple: bytes, *, width: int, height: int) -> bytes:
    """A simple WebP file (RIFF, one VP8 or VP8L chunk) in the extended format, which may hold further chunks."""
    payload = simple[_HEADER.size :]
    if payload[:4] == b"VP8X":
        return simple
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _riff(_CHUNK.pack(b"VP8X", 10) + b"\0\0\0\0" + canvas + payload)


def bucket(longest: int) -> int:
    """The length that every image of a trial is served at, `longest` being the length of its longest derivative."""
    return -(-(longest + _CHUNK.size) // BUCKET) * BUCKET


def padded_webp(extended: bytes, *, length: int, seed: bytes) -> bytes:
    """The same picture in exactly `length` bytes; the padding is drawn from `seed` (SHAKE-256).

    Raises:
        ValueError: `length` is odd or leaves no room for the padding chunk.
    """
    room = length - len(extended) - _CHUNK.size
    if room < 0 or length % 2:
        raise ValueError(f"{len(extended)} bytes cannot be padded to {length}")
    padding = _CHUNK.pack(_PADDING, room) + hashlib.shake_256(seed).digest(room)
    return _riff(extended[_HEADER.size :] + padding)


def _riff(payload: bytes) -> bytes:
    return _HEADER.pack(b"RIFF", len(payload) + 4, b"WEBP") + payload
