"""What an image's numbers mean, and the pixels that a browser makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from datafiles import exif, icc

SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_PLAIN = ("1", "L", "P", "RGB")
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
    profile: bytes | None  # ICC; None where its colours are sRGB
    has_unfit_profile: bool  # one that is damaged, or for other pixels
    has_16_bits: bool
    orientation: int  # EXIF, 1 to 8
    transparency: Any  # the colour that is see-through, in Pillow's words and in levels of the image; None

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
        if self.orientation != exif.UPRIGHT:
            found.append(
                "its EXIF orientation rotates it" + (", but in no browser" if self.image.format == "WEBP" else "")
            )
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
        - EXIF turns it, but for a WebP, which no browser turns.
        """
        colour = self._opaque()
        if self.image.has_transparency_data:
            colour = Image.composite(colour, Image.new("RGB", colour.size, "white"), self._alpha())
        turn = None if self.image.format == "WEBP" else _UPRIGHT.get(self.orientation)
        upright = colour if turn is None else colour.transpose(turn)
        upright.info = {}
        return upright

    def _opaque(self) -> Image.Image:
        image = self.image
        if image.mode in SIXTEEN_BITS:
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode == "P":
            image = image.convert("RGBA")  # straight to RGB, Pillow warns of transparency that would be lost
        if self.profile is None:
            return image.convert("RGB")
        return icc.apply(image.convert(icc.mode_of(self.profile)), self.profile)

    def _alpha(self) -> Image.Image:
        if self.image.mode == "L" or self.image.mode in SIXTEEN_BITS:
            seen = np.asarray(self.image) != self.transparency
            return Image.fromarray(seen.astype(np.uint8) * 255)
        return self.image.convert("RGBA").getchannel("A")
