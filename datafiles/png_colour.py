"""What a PNG says its colours are: in cICP, iCCP, sRGB, or gAMA and cHRM (W3C PNG, third edition, 4.3)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from datafiles import cicp
from datafiles.errors import BadFile
from datafiles.icc import SRGB_PRIMARIES, Chromaticities, UnusableProfile, matrix_profile, power

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_PROFILE = 16 * 2**20  # bytes
_LONGEST_NAME = 79  # of a profile
_INTENTS = (b"\0", b"\1", b"\2", b"\3")
_EXPONENTS = (0.1, 10.0)
"""Of a gAMA chunk: what lies outside is a mistake, and shown by one browser and ignored by the other."""
_NEAR_SRGB = 0.05
"""How far from 1/2.2 a gAMA may be, as a share, and still stand for sRGB's own curve: browsers change nothing then.
Where a cHRM says more, they take it for a power."""
_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")


@dataclass(frozen=True)
class PngHeader:
    """What Pillow does not tell: it opens 16 bits as 8, and knows no cICP."""

    depth: int  # bits a channel
    chunks: dict[bytes, bytes]  # the first of every sort before the pixels


def read_header(data: bytes) -> PngHeader:
    """Of a file that Pillow has decoded, so that lengths and checksums are known to be right.

    Raises BadFile for chunks in an order that is none.
    """
    chunks: dict[bytes, bytes] = {}
    for name, body in _chunks(data):
        if name in _COLOUR_CHUNKS and b"PLTE" in chunks:
            raise BadFile(f"its {name.decode()} chunk comes after the palette, where some programs do not look for it")
        chunks.setdefault(name, body)
    return PngHeader(chunks[b"IHDR"][8], chunks)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":  # what describes colours after the pixels describes nothing
            return
        yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def profiles_in(chunks: dict[bytes, bytes]) -> list[bytes]:
    """ICC profiles that say the same: what counts first; none for sRGB. After an iCCP chunk comes what would count
    without it.

    Raises BadFile for chunks that programs do not read alike, and for colours that sRGB does not have.
    """
    if b"cICP" in chunks:
        return [cicp.profile_of(chunks[b"cICP"])]
    if chunks.get(b"sRGB", _INTENTS[0]) not in _INTENTS:
        raise BadFile("its sRGB chunk is damaged")
    profiles = [_inflated(chunks[b"iCCP"])] if b"iCCP" in chunks else []
    gamma = _unsigned(chunks, b"gAMA", 1)
    if gamma and b"sRGB" not in chunks:
        profiles += profiles_of_gamma(gamma[0], _unsigned(chunks, b"cHRM", 8))
    return profiles


def _unsigned(chunks: dict[bytes, bytes], name: bytes, count: int) -> tuple[int, ...] | None:
    if name not in chunks:
        return None
    if len(chunks[name]) != 4 * count:
        raise BadFile(f"its {name.decode()} chunk is damaged")
    return struct.unpack(f">{count}I", chunks[name])


def profiles_of_gamma(gamma: int, chromaticities: tuple[int, ...] | None) -> list[bytes]:
    """Of gAMA and cHRM in units of 1/100,000."""
    if chromaticities is None and abs(gamma / 100_000 * 2.2 - 1) <= _NEAR_SRGB:
        return []
    if not gamma or not _EXPONENTS[0] <= 100_000 / gamma <= _EXPONENTS[1]:
        raise BadFile(f"its gAMA chunk says {gamma / 100_000}, which cannot be: write the file without it")
    primaries = SRGB_PRIMARIES
    if chromaticities is not None:
        x, y = ([value / 100_000 for value in chromaticities[start::2]] for start in (0, 1))
        primaries = Chromaticities(*zip(x, y, strict=True))
    try:
        return [matrix_profile(primaries, power(100_000 / gamma))]
    except UnusableProfile as error:
        raise BadFile(f"its cHRM chunk cannot be: {error}; write the file without it") from None


def _inflated(chunk: bytes) -> bytes:
    """An iCCP chunk's profile; nothing of one that is damaged."""
    name, _, compressed = chunk.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], _MAX_PROFILE)
    except zlib.error:
        return b""
    return profile if inflater.eof and 1 <= len(name) <= _LONGEST_NAME else b""
