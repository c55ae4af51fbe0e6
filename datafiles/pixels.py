"""One decoder for whoever reads an image that somebody gave us: study, training or metric.

A file's numbers are not yet colours: it may be turned, see-through, made for a printer, written with 16 bits, or mean
other colours than sRGB. `read` takes a file, `of_pillow` an image that Pillow has opened or made; the `Picture` that
they give names what programs show differently, and makes of it what a browser shows on a white page.
"""

import io
from collections.abc import Collection, Iterable
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

from datafiles import cicp, exif, icc, png_colour
from datafiles.errors import BadFile
from datafiles.picture import SIXTEEN_BITS, Picture
from datafiles.png_colour import PngHeader

MAX_PIXELS = 40_000_000
SHOWN_BY_BROWSERS = ("JPEG", "PNG", "WEBP")
READABLE = (*SHOWN_BY_BROWSERS, "BMP", "GIF", "TIFF")
RULES = 2
"""Raised whenever a file decodes to other pixels than before, so that nobody takes old ones from a cache."""

_EIGHT_BITS = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LA", "PA", "RGBA"}
_GRAYS = ("1", "L", "LA", *SIXTEEN_BITS)
_NAMES = {"WEBP": "WebP"}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def read(data: bytes, formats: Collection[str] = READABLE) -> Picture:
    """Decode a file.

    Raises BadFile for what is damaged or too large, and for colours or numbers that nothing says how to show.
    """
    image = _loaded(data, formats)
    return _of_png(image, data) if image.format == "PNG" else _of_any(image)


def of_pillow(image: Image.Image) -> Picture:
    """An image that Pillow has opened or made.

    A PNG that is not decoded yet is read from its file, and stays as it is; of everything else counts what Pillow has
    kept, which is nothing of a cICP chunk. Raises BadFile as `read` does.
    """
    data = _undecoded_png(image)
    if data is not None:
        return read(data)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise BadFile(f"the image is damaged ({error})") from None
    return _of_any(image)


def _undecoded_png(image: Image.Image) -> bytes | None:
    if image.format != "PNG" or not isinstance(image, ImageFile.ImageFile) or not image.tile or image.tell():
        return None
    file = image.fp
    if file is None:
        return None
    position = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(position)
    return data


def _loaded(data: bytes, formats: Collection[str]) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=list(formats))
        if image.width * image.height > MAX_PIXELS:
            raise BadFile(f"{image.width} × {image.height} pixels are too many (at most {MAX_PIXELS:,})")
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadFile(f"the image has too many pixels (at most {MAX_PIXELS:,})") from None
    except UnidentifiedImageError:
        names = [_NAMES.get(name, name) for name in formats]
        raise BadFile(f"this is not a {', '.join(names[:-1])} or {names[-1]} image") from None
    except BadFile:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise BadFile(f"the image is damaged ({error})") from None
    return image


def _refuse_unknown_levels(image: Image.Image) -> None:
    """A browser shows none of these; guessed, they would be black, or white, or negatives."""
    if image.mode not in _EIGHT_BITS and image.mode not in SIXTEEN_BITS:
        raise BadFile(
            f"its pixels are numbers of a range that it does not say (Pillow's mode {image.mode}): scale them to "
            "0–255 and save them with 8 bits a channel"
        )
    if image.mode == "P" and image.palette is None:
        raise BadFile("the image is damaged (its palette is missing)")
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.mode not in SIXTEEN_BITS:
        return
    if tags.get(_TIFF_BITS) != (16,) or tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise BadFile("its grey levels are not 16 bits from black to white: save them with 8 bits a channel")


def _of_any(image: Image.Image) -> Picture:
    """By what Pillow tells of its file."""
    _refuse_unknown_levels(image)
    profile, is_unfit = _chosen(_profiles_in(image.info), image)
    orientation = exif.read_orientation(image.info.get("exif") or b"")
    has_16_bits, transparency = image.mode in SIXTEEN_BITS, image.info.get("transparency")
    return Picture(image, profile, is_unfit, has_16_bits, orientation, transparency)


def _of_png(image: Image.Image, data: bytes) -> Picture:
    """By its own chunks: Pillow does not know them all, and follows some behind the pixels, where nobody else does."""
    _refuse_unknown_levels(image)
    header = png_colour.read_header(data)
    profile, is_unfit = _chosen(png_colour.profiles_in(header.chunks), image)
    orientation = exif.read_orientation(header.chunks.get(b"eXIf", b""))
    transparency = _transparency_as_decoded(image, header)
    return Picture(image, profile, is_unfit, header.depth == 16, orientation, transparency)


def _chosen(profiles: Iterable[bytes], image: Image.Image) -> tuple[bytes | None, bool]:
    """What is to be applied, and whether any before it could not be.

    Browsers go on likewise from a damaged profile to what a PNG says next, and apply none that is for other pixels.
    """
    is_unfit = False
    for stated in profiles:
        if icc.is_foreign(stated):
            raise BadFile("its colour profile is not one of images, which programs handle differently: remove it")
        profile = cicp.instead_of(stated)
        if icc.is_usable(profile):
            fits = _fits(profile, image)
            return profile if fits and not icc.is_srgb(profile) else None, is_unfit or not fits
        is_unfit = True
    return None, is_unfit


def _fits(profile: bytes, image: Image.Image) -> bool:
    match icc.mode_of(profile):
        case "RGB":
            return image.mode != "CMYK"
        case "L":
            return image.mode in _GRAYS
        case mode:
            return image.mode == mode


def _profiles_in(info: dict[Any, Any]) -> list[bytes]:
    """What Pillow tells of a file, in the order in which a PNG's chunks count."""
    profiles = [info["icc_profile"]] if info.get("icc_profile") else []
    if "gamma" in info and "srgb" not in info:
        chromaticities = info.get("chromaticity")
        in_units = tuple(round(value * 100_000) for value in chromaticities) if chromaticities else None
        profiles += png_colour.profiles_of_gamma(round(info["gamma"] * 100_000), in_units)
    return profiles


def _transparency_as_decoded(image: Image.Image, header: PngHeader) -> Any:
    """The transparent colour in the levels of the decoded pixels: Pillow stretches grey of 2 and 4 bits, not that."""
    transparency = image.info.get("transparency")
    if transparency is not None and image.mode == "RGB" and header.depth == 16:
        raise BadFile("it has 16 bits a channel and one transparent colour: save it with an alpha channel instead")
    if transparency is not None and image.mode == "L" and header.depth < 8:
        return transparency * 255 // (2**header.depth - 1)
    return transparency
