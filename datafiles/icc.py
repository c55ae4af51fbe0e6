"""Colour profiles: made of primaries and a curve, compared with sRGB, and applied."""

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageStat

SAME_COLOUR = 2
"""By how many of 256 levels a profile may move a colour and still be sRGB: rounding, and curves said in other words."""

_D50 = (0.9642, 1.0, 0.8249)  # XYZ of the white that profiles are written for
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_MOST_TAGS = 100
_CHANNELS = (b"r", b"g", b"b")


class Chromaticities(NamedTuple):
    """CIE 1931 x and y of the white and of the three primaries."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """How a level in [0, 1] becomes light, as ICC's parametric curves have it: type 0 (a power), or 3 (linear near
    black).
    """

    kind: int
    parameters: tuple[float, ...]


SRGB_PRIMARIES = Chromaticities((0.3127, 0.3290), (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
SRGB_CURVE = Curve(3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))


def power(exponent: float) -> Curve:
    return Curve(0, (exponent,))


class UnusableProfile(ValueError):
    """A profile that is damaged, or made for pixels of another kind."""


@lru_cache(maxsize=16)
def matrix_profile(primaries: Chromaticities, curve: Curve) -> bytes:
    """The ICC profile (version 4) of an RGB colour space.

    Raises UnusableProfile for primaries that span no colours.
    """
    trc = b"para" + struct.pack(">IHH", 0, curve.kind, 0) + _fixed(curve.parameters)
    columns = _to_d50(primaries).T
    tags = {
        b"desc": b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", 2, 28) + "-".encode("utf-16-be"),
        b"cprt": b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", 2, 28) + "-".encode("utf-16-be"),
        b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50),
        **{n + b"XYZ": b"XYZ " + bytes(4) + _fixed(xyz) for n, xyz in zip(_CHANNELS, columns, strict=True)},
        **{name + b"TRC": trc for name in _CHANNELS},
    }
    directory, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        directory += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI4s4s4s12s", start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", bytes(12))
    header += b"acsp" + bytes(28) + _fixed(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def _fixed(numbers: "tuple[float, ...] | NDArray[np.float64]") -> bytes:
    try:
        return struct.pack(f">{len(numbers)}i", *(round(float(number) * 65536) for number in numbers))
    except (struct.error, ValueError, OverflowError):
        raise UnusableProfile("its primaries span no colours") from None


def _to_d50(primaries: Chromaticities) -> NDArray[np.float64]:
    """Linear RGB to XYZ as seen under D50, a column for each primary (white scaled, then Bradford's adaptation)."""
    with np.errstate(all="ignore"):
        white, *colours = (np.array([x / y, 1, (1 - x - y) / y]) if y else np.full(3, np.nan) for x, y in primaries)
        unscaled = np.array(colours).T
        try:
            shares = np.linalg.solve(unscaled, white)
            adapted = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
        except np.linalg.LinAlgError:
            raise UnusableProfile("its primaries span no colours") from None
        if not (shares > 0).all():
            raise UnusableProfile("its white is none that its primaries mix")
        seen: NDArray[np.float64] = np.linalg.solve(_BRADFORD, adapted @ _BRADFORD @ (unscaled * shares))
        return seen


def mode_of(profile: bytes) -> str | None:
    """Pillow's mode of the pixels that a profile is made for; None where that is none of ours."""
    return {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}.get(profile[16:20])


def is_foreign(profile: bytes) -> bool:
    """True of whole profiles that lead from device to device, name single inks, or are for Lab and other pixels."""
    is_of_device = profile[12:16] in (b"mntr", b"scnr", b"prtr", b"spac")
    return _is_whole(profile) and not (is_of_device and mode_of(profile))


def _is_whole(profile: bytes) -> bool:
    """As browsers judge it (ICC.1:2022, 7.2): littleCMS alone would follow profiles that they pass over."""
    size, version = int.from_bytes(profile[:4]), profile[8:9]
    return profile[36:40] == b"acsp" and size <= len(profile) and b"\2" <= version <= b"\4"


def cicp_of(profile: bytes) -> bytes | None:
    """The four code points of its `cicp` tag (ICC.1:2022, 9.2.17)."""
    count = int.from_bytes(profile[128:132])
    for at in range(132, 132 + 12 * min(count, _MOST_TAGS), 12):
        if profile[at : at + 4] == b"cicp":
            offset = int.from_bytes(profile[at + 4 : at + 8])
            return profile[offset + 8 : offset + 12]
    return None


def is_usable(profile: bytes) -> bool:
    return _is_whole(profile) and _probe_in_srgb(profile) is not None


def is_srgb(profile: bytes) -> bool:
    """Whether colours look the same with a usable profile as without, whatever it calls itself."""
    shown = _probe_in_srgb(profile)
    if shown is None:
        return False
    difference = ImageStat.Stat(ImageChops.difference(shown, _probe(mode_of(profile)).convert("RGB")))
    return max(largest for _, largest in difference.extrema) <= SAME_COLOUR


@lru_cache(maxsize=16)
def _probe_in_srgb(profile: bytes) -> Image.Image | None:
    try:
        return apply(_probe(mode_of(profile)), profile)
    except UnusableProfile:
        return None


def _probe(mode: str | None) -> Image.Image:
    """Every level of grey, and colours from all over the space, more of the dark ones, where curves differ most."""
    levels = (0, 8, 16, 32, 64, 102, 153, 204, 255)
    grays = (gray for level in range(256) for gray in (level, level, level))
    cube = (value for colour in product(levels, repeat=3) for value in colour)
    probe = Image.frombytes("RGB", (256 + len(levels) ** 3, 1), bytes(chain(grays, cube)))
    return probe.convert(mode) if mode else probe


def apply(image: Image.Image, profile: bytes) -> Image.Image:
    """`image`, in the mode that the profile is for, in sRGB.

    Raises UnusableProfile.
    """
    if image.mode == "L":  # 256 levels, each exactly: littleCMS' shortcut for grey is off by up to ten
        red, green, blue = _converted(_every_level(), profile, ImageCms.Flags.NOOPTIMIZE).split()
        return Image.merge("RGB", [image.point(list(band.tobytes())) for band in (red, green, blue)])
    return _converted(image, profile)


def _converted(image: Image.Image, profile: bytes, flags: ImageCms.Flags = ImageCms.Flags.NONE) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB", flags=flags)
    except (ImageCms.PyCMSError, OSError) as error:
        raise UnusableProfile(str(error)) from None
    assert converted is not None  # it would be only if asked to convert in place
    return converted


def _every_level() -> Image.Image:
    return Image.frombytes("L", (256, 1), bytes(range(256)))
