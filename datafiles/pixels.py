"""One decoder for whoever reads an image that somebody gave us: study, training or metric.

A file's numbers are not yet colours: it may be turned, see-through, made for a printer, written with 16 bits, or mean
other colours than sRGB. `Picture.blemishes` names what programs show differently, `Picture.upright_srgb` makes of it
what a browser shows on a white page.
"""

import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from datafiles import cicp, exif, icc, png_colour
from datafiles.errors import BadFile
from datafiles.png_colour import PngHeader

MAX_PIXELS = 40_000_000
SHOWN_BY_BROWSERS = ("JPEG", "PNG", "WEBP")
READABLE = (*SHOWN_BY_BROWSERS, "BMP", "GIF", "TIFF")
RULES = 2
"""Raised whenever a file decodes to other pixels than before, so that nobody takes old ones from a cache."""

_EIGHT_BITS = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LA", "PA", "RGBA"}
_PLAIN = ("1", "L", "P", "RGB")
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_GRAYS = ("1", "L", "LA", *_SIXTEEN_BITS)
_NAMES = {"WEBP": "WebP"}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A decoded image and what its file says of its pixels."""

    image: Image.Image  # loaded, as Pillow opens it
    profile: bytes | None = None  # ICC; None where its colours are sRGB
    has_unfit_profile: bool = False
    has_16_bits: bool = False

    def blemishes(self) -> list[str]:
        """What makes it look different from one program to the next."""
        found = []
        if self.image.has_transparency_data:
            found.append("it has an alpha channel")
        elif self.image.mode == "CMYK":
            found.append("it is CMYK")
        elif self.image.mode not in _PLAIN and not self.has_16_bits:
            found.append(f"its pixels are {self.image.mode}")
        if self.has_16_bits:
            found.append("it has more than 8 bits a channel")
        if getattr(self.image, "n_frames", 1) > 1:
            found.append("it is animated or holds several pictures")
        if exif.read_orientation(self.image.info.get("exif") or b"") != exif.UPRIGHT:
            found.append("its EXIF orientation rotates it")
        if self.has_unfit_profile:
            found.append("its colour profile is damaged, or for other pixels")
        if self.profile is not None:
            found.append("its colour profile is not sRGB")
        return found

    def upright_srgb(self) -> Image.Image:
        """Its first picture in 8-bit RGB: upright, sRGB, on white, and nothing but pixels. The rules:

        - of 16 bits the high byte stays, as Chromium, Pillow and OpenCV do it: level = value >> 8;
        - a profile, or what a PNG has in its place, is applied where it moves a colour by more than 2 levels;
        - then what is see-through lies on white, blended in sRGB as browsers do;
        - orientations other than 2 to 8 turn nothing.
        """
        colour = self._opaque()
        if self.image.has_transparency_data:
            colour = Image.composite(colour, Image.new("RGB", colour.size, "white"), _alpha(self.image))
        turn = _UPRIGHT.get(_orientation(self.image))
        upright = colour if turn is None else colour.transpose(turn)
        upright.info = {}
        return upright

    def _opaque(self) -> Image.Image:
        image = self.image
        if image.mode in _SIXTEEN_BITS:
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode == "P":
            image = image.convert("RGBA")  # straight to RGB, Pillow warns of transparency that would be lost
        if self.profile is None:
            return image.convert("RGB")
        return icc.apply(image.convert(icc.mode_of(self.profile)), self.profile)


def read(data: bytes, formats: Collection[str] = READABLE) -> Picture:
    """Decode a file.

    Raises BadFile for what is damaged or too large, and for colours or numbers that nothing says how to show.
    """
    image = _loaded(data, formats)
    if image.format != "PNG":
        _refuse_unknown_range(image)
        return _described(image, _profiles_in(image.info))
    header = png_colour.read_header(data)
    image.info["exif"] = header.chunks.get(b"eXIf", b"")  # Pillow would take one behind the pixels, too
    if "transparency" in image.info:
        image.info["transparency"] = _transparency_as_decoded(image, header)
    return _described(image, png_colour.profiles_in(header.chunks), has_16_bits=header.depth == 16)


def of_pillow(image: Image.Image) -> Picture:
    """An image that Pillow has opened or made.

    By its file, if it is a PNG that is not decoded yet; else by what Pillow has kept of the file, which is nothing of a
    cICP chunk. Raises BadFile as `read` does.
    """
    unread = _unread_png(image)
    if unread is not None:
        return read(unread)
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise BadFile(f"the image is damaged ({error})") from None
    _refuse_unknown_range(image)
    return _described(image, _profiles_in(image.info), has_16_bits=image.mode in _SIXTEEN_BITS)


def _unread_png(image: Image.Image) -> bytes | None:
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


def _refuse_unknown_range(image: Image.Image) -> None:
    """A browser shows none of these; guessed, they would be black, or white, or negatives."""
    if image.mode not in _EIGHT_BITS and image.mode not in _SIXTEEN_BITS:
        raise BadFile(
            f"its pixels are numbers of a range that it does not say (Pillow's mode {image.mode}): scale them to "
            "0–255 and save them with 8 bits a channel"
        )
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.mode not in _SIXTEEN_BITS:
        return
    if tags.get(_TIFF_BITS) != (16,) or tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise BadFile("its grey levels are not 16 bits from black to white: save them with 8 bits a channel")


def _described(image: Image.Image, profiles: Iterable[bytes], *, has_16_bits: bool = False) -> Picture:
    """With the first of the profiles that is whole. Browsers go on likewise from a damaged one, and apply none that is
    for other pixels.
    """
    is_unfit = False
    for stated in profiles:
        if icc.is_foreign(stated):
            raise BadFile(
                "its colour profile is not one of images, and programs make different things of it: remove it"
            )
        profile = cicp.instead_of(stated)
        if icc.is_usable(profile):
            wanted = _fits(profile, image) and not icc.is_srgb(profile)
            is_unfit = is_unfit or not _fits(profile, image)
            return Picture(image, profile if wanted else None, is_unfit, has_16_bits)
        is_unfit = True
    return Picture(image, None, is_unfit, has_16_bits)


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


def _orientation(image: Image.Image) -> int:
    """No browser turns a WebP."""
    return exif.UPRIGHT if image.format == "WEBP" else exif.read_orientation(image.info.get("exif") or b"")


def _alpha(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BITS:
        seen = np.asarray(image) != image.info["transparency"]
        return Image.fromarray(seen.astype(np.uint8) * 255)
    return image.convert("RGBA").getchannel("A")


def _transparency_as_decoded(image: Image.Image, header: PngHeader) -> Any:
    """The transparent colour in the levels of the decoded pixels: Pillow stretches grey of 2 and 4 bits, not that."""
    transparency = image.info["transparency"]
    if image.mode == "RGB" and header.depth == 16:
        raise BadFile("it has 16 bits a channel and one transparent colour: save it with an alpha channel instead")
    if image.mode == "L" and header.depth < 8:
        return transparency * 255 // (2**header.depth - 1)
    return transparency
