"""Images on their way in: checked by decoding them, stored by their content, with the derivative participants see."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from PIL import Image as Pillow
from PIL import ImageChops, ImageCms, ImageStat, UnidentifiedImageError
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.disguise import extended_webp
from app.errors import BadInput
from app.models.items import Derivative, Image
from app.storage import Storage

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000
DISPLAY, LOSSLESS = "display", "lossless"
DERIVATIVE_FOR = {"2afc": DISPLAY, "jnd": LOSSLESS}
"""What participants are sent by the kind of their study: in JND every pixel counts."""
DISPLAY_SIDE = 768
"""The longest side of a display derivative in pixels: twice the size a candidate has on a desktop page."""
LOSSLESS_SIDE = 4096
"""The longest side of an image that is shown losslessly, in its own size: no screen is larger."""

ROWS_TO_COME = 0x6C6F6F6B
"""An advisory lock, shared by all who have stored bytes whose rows are still to be committed: as long as anybody holds
it, an object without a row is not known to be abandoned."""

_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}  # MPO: a JPEG with further pictures behind
_PLAIN_MODES = ("RGB", "L", "P", "1")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
_PNG_BIT_DEPTH = 24  # offset in the file: Pillow opens 16-bit colour as 8-bit RGB without a word
_SAME_COLOUR = 3
"""By how many of 256 levels a profile may move a colour and still be sRGB: rounding, and curves said in other words."""


@dataclass(frozen=True)
class CheckedImage:
    """An image that may be shown: its original bytes, and what is made of them."""

    sha256: str
    data: bytes
    extension: str
    width: int
    height: int
    mean_colour: tuple[float, float, float]
    derivative_kind: str
    derivative: bytes


def check(data: bytes, *, name: str, normalise: bool = False, derivative: str = DISPLAY) -> CheckedImage:
    """Decode an image and make what participants are sent of it.

    Args:
        name: what errors call it.
        normalise: turn what would be refused but can be mended (alpha, CMYK, 16 bits, rotation, colour profile,
            further pictures) into an upright 8-bit sRGB PNG.
        derivative: `DISPLAY` or `LOSSLESS`.

    Raises:
        BadInput: it is not an image we can show unchanged; says why.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name}: {len(data) / 2**20:.0f} MB is more than the {MAX_BYTES / 2**20:.0f} MB allowed.")
    image = _decode(data, name)
    extension = _EXTENSIONS[image.format or ""]
    blemishes = _blemishes(image, data)
    if blemishes and not normalise:
        raise BadInput(f"{name}: {', '.join(blemishes)}. Convert it, or import with --normalise.")
    if blemishes:
        image = _normalised(image)
        data, extension = _encoded(image, "PNG"), "png"
    shown = image.convert("RGB")
    if derivative == LOSSLESS and max(shown.size) > LOSSLESS_SIDE:
        raise BadInput(f"{name}: {shown.width} × {shown.height} pixels are more than a screen shows in their own size.")
    red, green, blue = ImageStat.Stat(shown).mean
    return CheckedImage(
        sha256=hashlib.sha256(data).hexdigest(),
        data=data,
        extension=extension,
        width=shown.width,
        height=shown.height,
        mean_colour=(red, green, blue),
        derivative_kind=derivative,
        derivative=_lossless(shown) if derivative == LOSSLESS else _display(shown),
    )


def _decode(data: bytes, name: str) -> Pillow.Image:
    try:
        image = Pillow.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"])
        if image.width * image.height > MAX_PIXELS:
            raise BadInput(f"{name}: {image.width} × {image.height} pixels are too many (at most {MAX_PIXELS:,}).")
        image.load()
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise BadInput(f"{name}: the image has too many pixels (at most {MAX_PIXELS:,}).") from None
    except UnidentifiedImageError:
        raise BadInput(f"{name}: this is not a JPEG, PNG or WebP image.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"{name}: the image is damaged ({error}).") from None
    return image


def _blemishes(image: Pillow.Image, data: bytes) -> list[str]:
    """What makes an image look different from one program to the next."""
    found = []
    if _has_alpha(image):
        found.append("it has an alpha channel")
    elif image.mode == "CMYK":
        found.append("it is CMYK")
    elif image.mode not in _PLAIN_MODES or (image.format == "PNG" and data[_PNG_BIT_DEPTH] == 16):
        found.append("it has more than 8 bits a channel")
    if getattr(image, "n_frames", 1) > 1:
        found.append("it is animated or holds several pictures")
    if _orientation(image) != 1:
        found.append("its EXIF orientation rotates it")
    profile = image.info.get("icc_profile")
    if profile and not _is_srgb(profile):
        found.append("its colour profile is not sRGB")
    return found


def _has_alpha(image: Pillow.Image) -> bool:
    return image.mode.endswith("A") or "transparency" in image.info


def _orientation(image: Pillow.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError):
        return 1  # EXIF that cannot be read turns the image nowhere


@lru_cache(maxsize=16)
def _is_srgb(profile: bytes) -> bool:
    """Whether colours look the same with the profile as without, whatever it calls itself."""
    probe = _probe(is_gray=profile[16:20] == b"GRAY")
    try:
        shown = _in_srgb(probe, profile)
    except (ImageCms.PyCMSError, OSError):
        return False
    difference = ImageStat.Stat(ImageChops.difference(shown, probe.convert("RGB")))
    return max(largest for _, largest in difference.extrema) <= _SAME_COLOUR


def _probe(*, is_gray: bool) -> Pillow.Image:
    """Colours from all over the space, more of the dark ones, where curves differ most."""
    levels = (0, 8, 16, 32, 64, 102, 153, 204, 255)
    if is_gray:
        return Pillow.frombytes("L", (len(levels), 1), bytes(levels))
    cube = bytes(value for colour in product(levels, repeat=3) for value in colour)
    return Pillow.frombytes("RGB", (len(levels) ** 3, 1), cube)


def _in_srgb(image: Pillow.Image, profile: bytes) -> Pillow.Image:
    """Raises PyCMSError or OSError for a profile that is damaged, or made for other modes."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert converted is not None  # it would be only if asked to convert in place
    return converted


def _normalised(image: Pillow.Image) -> Pillow.Image:
    """Upright, on white, 8-bit sRGB, and nothing but pixels."""
    profile = image.info.get("icc_profile")
    alpha = image.convert("RGBA").getchannel("A") if _has_alpha(image) else None
    colour = _managed(_plain(image), profile)
    if alpha is not None:
        colour = Pillow.composite(colour, Pillow.new("RGB", colour.size, "white"), alpha)
    turn = _UPRIGHT.get(_orientation(image))
    upright = colour if turn is None else colour.transpose(turn)
    upright.info = {}
    return upright


def _plain(image: Pillow.Image) -> Pillow.Image:
    """Its colours without alpha, in the 8-bit mode that its profile speaks of."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        return Pillow.fromarray(np.round(values / 257).clip(0, 255).astype(np.uint8))
    return image.convert({"LA": "L", "L": "L", "1": "L", "CMYK": "CMYK"}.get(image.mode, "RGB"))


def _managed(image: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    """The colours that the profile means; one that cannot be used means nothing."""
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            return _in_srgb(image, profile)
    return image.convert("RGB")


def _display(image: Pillow.Image) -> bytes:
    if max(image.size) > DISPLAY_SIDE:
        image = image.copy()
        image.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Pillow.Resampling.LANCZOS, reducing_gap=None)
    return extended_webp(_encoded(image, "WEBP", quality=90, method=4), width=image.width, height=image.height)


def _lossless(image: Pillow.Image) -> bytes:
    return extended_webp(_encoded(image, "WEBP", lossless=True), width=image.width, height=image.height)


def _encoded(image: Pillow.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def known(session: Session, sha256s: list[str], *, derivative: str) -> dict[str, Image]:
    """Those of the images that are stored already, derivative included."""
    rows = session.scalars(
        select(Image)
        .join(Derivative, (Derivative.image == Image.sha256) & (Derivative.kind == derivative))
        .where(Image.sha256.in_(sha256s))
    )
    return {image.sha256: image for image in rows}


def store(session: Session, storage: Storage, images: list[CheckedImage]) -> None:
    """Bytes first, rows second: a row never names bytes that are not there. The same content is stored once."""
    if not images:
        return
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": ROWS_TO_COME})
    with ThreadPoolExecutor() as pool:  # a durable write is mostly waiting
        list(pool.map(storage.put, [image.data for image in images]))
        shown = list(pool.map(storage.put, [image.derivative for image in images]))
    derivatives = [
        {"image": image.sha256, "kind": image.derivative_kind, "sha256": key, "bytes": len(image.derivative)}
        for image, key in zip(images, shown, strict=True)
    ]
    rows = [
        {
            "sha256": image.sha256,
            "extension": image.extension,
            "width": image.width,
            "height": image.height,
            "bytes": len(image.data),
            "mean_colour": list(image.mean_colour),
        }
        for image in images
    ]
    # In key order, so that two imports of the same images do not wait for each other in a circle.
    rows.sort(key=lambda row: str(row["sha256"]))
    derivatives.sort(key=lambda row: str(row["image"]))
    session.execute(insert(Image).on_conflict_do_nothing(), rows)
    session.execute(insert(Derivative).on_conflict_do_nothing(), derivatives)


def add_derivatives(session: Session, storage: Storage, *, sha256s: Sequence[str], derivative: str) -> None:
    """Make this derivative of stored images that do not have it yet."""
    missing = sorted(set(sha256s) - known(session, list(sha256s), derivative=derivative).keys())
    for sha256 in missing:
        store(session, storage, [check(storage.get(sha256), name=sha256, derivative=derivative)])
