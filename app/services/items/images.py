"""Images on their way in: checked by decoding them, stored by their content, with the derivative participants see."""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageStat
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.disguise import extended_webp
from app.errors import BadInput
from app.models.items import Derivative, Image
from app.storage import Storage
from datafiles import pixels
from datafiles.errors import BadFile
from datafiles.picture import Picture

MAX_BYTES = 64 * 2**20
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
        normalise: turn what would be refused but can be converted (alpha, CMYK, 16 bits, rotation, colours other
            than sRGB's, further pictures) into an upright 8-bit sRGB PNG, as `datafiles.pixels` says.
        derivative: `DISPLAY` or `LOSSLESS`.

    Raises:
        BadInput: it is not an image we can show unchanged; says why.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name}: {len(data) / 2**20:.0f} MB is more than the {MAX_BYTES / 2**20:.0f} MB allowed.")
    picture = _read(data, name)
    blemishes = picture.blemishes()
    if blemishes and not normalise:
        raise BadInput(f"{name}: {', '.join(blemishes)}. Convert it, or import with --normalise.")
    shown = picture.upright_srgb()
    if blemishes:
        return _checked(shown, _encoded(shown, "PNG"), "png", name=name, derivative=derivative)
    return _checked(shown, data, _extension(picture), name=name, derivative=derivative)


def _read(data: bytes, name: str) -> Picture:
    try:
        return pixels.read(data, pixels.SHOWN_BY_BROWSERS)
    except BadFile as error:
        raise BadInput(f"{name}: {error}.") from None


def _extension(picture: Picture) -> str:
    return _EXTENSIONS[picture.image.format or ""]


def _checked(shown: Pillow.Image, data: bytes, extension: str, *, name: str, derivative: str) -> CheckedImage:
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
    """Make this derivative of stored images that do not have it yet.

    What was stored is shown as browsers show it, also where an earlier version took what is refused today.
    """
    missing = sorted(set(sha256s) - known(session, list(sha256s), derivative=derivative).keys())
    for sha256 in missing:
        data = storage.get(sha256)
        picture = _read(data, sha256)
        made = _checked(picture.upright_srgb(), data, _extension(picture), name=sha256, derivative=derivative)
        store(session, storage, [made])
