"""Images on their way in: checked by decoding them, stored by their content, with the derivative participants see."""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, UnidentifiedImageError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.domain.disguise import extended_webp
from app.errors import BadInput
from app.models.items import Derivative, Image
from app.storage import Storage

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000
DISPLAY = "display"
DISPLAY_SIDE = 768
"""The longest side of a display derivative in pixels: twice the size a candidate has on a desktop page."""

_EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_PLAIN_MODES = ("RGB", "L", "P", "1")
_ORIENTATION = 0x0112
_PNG_BIT_DEPTH = 24  # offset in the file: Pillow opens 16-bit colour as 8-bit RGB without a word


@dataclass(frozen=True)
class CheckedImage:
    """An image that may be shown: its original bytes, and what is made of them."""

    sha256: str
    data: bytes
    extension: str
    width: int
    height: int
    mean_colour: tuple[float, float, float]
    display: bytes


def check(data: bytes, *, name: str, normalise: bool = False) -> CheckedImage:
    """Decode an image and make its display derivative.

    Args:
        name: what errors call it.
        normalise: turn what would be refused but can be mended (alpha, CMYK, 16 bits, rotation, colour profile) into
            an upright 8-bit sRGB PNG.

    Raises:
        BadInput: it is not an image we can show unchanged; says why.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name}: {len(data) / 2**20:.0f} MB is more than the {MAX_BYTES / 2**20:.0f} MB allowed.")
    image = _decode(data, name)
    blemishes = _blemishes(image, data)
    if blemishes and not normalise:
        raise BadInput(f"{name}: {', '.join(blemishes)}. Convert it, or import with --normalise.")
    extension = _EXTENSIONS[image.format or ""]
    if blemishes:
        image = _normalised(image)
        data, extension = _encoded(image, "PNG"), "png"
    shown = image.convert("RGB")
    red, green, blue = (float(value) for value in shown.resize((1, 1), Pillow.Resampling.BOX).tobytes())
    return CheckedImage(
        sha256=hashlib.sha256(data).hexdigest(),
        data=data,
        extension=extension,
        width=shown.width,
        height=shown.height,
        mean_colour=(red, green, blue),
        display=_display(shown),
    )


def _decode(data: bytes, name: str) -> Pillow.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            image = Pillow.open(io.BytesIO(data), formats=list(_EXTENSIONS))
            if image.width * image.height > MAX_PIXELS:
                raise BadInput(f"{name}: {image.width} × {image.height} pixels are too many (at most 40 million).")
            if getattr(image, "n_frames", 1) > 1:
                raise BadInput(f"{name}: it is animated; a trial shows still images only.")
            image.load()
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise BadInput(f"{name}: the image is too large (at most 40 million pixels).") from None
    except UnidentifiedImageError:
        raise BadInput(f"{name}: this is not a JPEG, PNG or WebP image.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise BadInput(f"{name}: the image is damaged ({error}).") from None
    return image


def _blemishes(image: Pillow.Image, data: bytes) -> list[str]:
    """What makes an image look different from one program to the next."""
    found = []
    if image.mode.endswith("A") or "transparency" in image.info:
        found.append("it has an alpha channel")
    elif image.mode == "CMYK":
        found.append("it is CMYK")
    elif image.mode not in _PLAIN_MODES or (image.format == "PNG" and data[_PNG_BIT_DEPTH] == 16):
        found.append("it has more than 8 bits a channel")
    if image.getexif().get(_ORIENTATION, 1) != 1:
        found.append("its EXIF orientation rotates it")
    if not _is_srgb(image):
        found.append("its colour profile is not sRGB")
    return found


def _is_srgb(image: Pillow.Image) -> bool:
    profile = image.info.get("icc_profile")
    if not profile:
        return True
    try:
        description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return False
    return "srgb" in description.lower()


def _normalised(image: Pillow.Image) -> Pillow.Image:
    """Upright, on white, 8-bit sRGB."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError):
            image = image.convert("RGB")
    if image.mode.endswith("A") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Pillow.alpha_composite(Pillow.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _display(image: Pillow.Image) -> bytes:
    if max(image.size) > DISPLAY_SIDE:
        image = image.copy()
        image.thumbnail((DISPLAY_SIDE, DISPLAY_SIDE), Pillow.Resampling.LANCZOS, reducing_gap=None)
    return extended_webp(_encoded(image, "WEBP", quality=90, method=4), width=image.width, height=image.height)


def _encoded(image: Pillow.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def known(session: Session, sha256s: list[str]) -> dict[str, Image]:
    """Those of the images that are stored already, derivative included."""
    rows = session.scalars(
        select(Image)
        .join(Derivative, (Derivative.image == Image.sha256) & (Derivative.kind == DISPLAY))
        .where(Image.sha256.in_(sha256s))
    )
    return {image.sha256: image for image in rows}


def store(session: Session, storage: Storage, images: list[CheckedImage]) -> None:
    """Bytes first, rows second: a row never names bytes that are not there. The same content is stored once."""
    if not images:
        return
    for image in images:
        storage.put(image.data)
    derivatives = [
        {"image": image.sha256, "kind": DISPLAY, "sha256": storage.put(image.display), "bytes": len(image.display)}
        for image in images
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
