"""Files whose numbers are not simply colours, each with what the import must do with it."""

import struct
import zlib
from dataclasses import dataclass
from itertools import product

import numpy as np
from PIL import Image, ImageFilter

from tests.support.pictures import (
    DISPLAY_P3,
    SRGB,
    Chunk,
    animated,
    encoded,
    gray_profile,
    icc_profile,
    noise,
    png_of,
    raw_png,
    rgb_profile,
    srgb_profile,
)

KEPT, CONVERTED, REFUSED = "kept", "converted", "refused"


@dataclass(frozen=True)
class ColourFile:
    data: bytes
    fate: str  # KEPT as it is, refused or CONVERTED under --normalise, REFUSED in any case

    @property
    def media_type(self) -> str:
        start = self.data[:4]
        return {b"\x89PNG": "image/png", b"RIFF": "image/webp"}.get(start, "image/jpeg")


LEVELS = (0, 8, 16, 32, 64, 102, 153, 204, 255)
CUBE = np.array(list(product(LEVELS, repeat=3)), dtype=np.uint8).reshape(27, 27, 3)
GRAYS = (np.arange(27 * 27) % 256).astype(np.uint8).reshape(27, 27)
GRAYS_16 = np.arange(0, 65536, 90)[: 27 * 27].reshape(27, 27)
RNG = np.random.default_rng(1)
RGB_16 = RNG.integers(0, 65536, (27, 27, 3))
RGBA = RNG.integers(0, 256, (27, 27, 4))
PALETTE = RNG.integers(0, 256, 48, dtype=np.uint8).tobytes()
PHOTO = noise(5, size=(96, 64)).resize((48, 32))
SMALL = noise(3)

SRGB_XY, P3_XY = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
P3 = rgb_profile("Wide gamut", DISPLAY_P3, gamma=2.2)
LINEAR = rgb_profile("Linear", SRGB, gamma=1.0)
GRAY = gray_profile("Linear gray", gamma=1.0)


def cicp(*codes: int) -> Chunk:
    return b"cICP", bytes(codes)


def gama(value: float) -> Chunk:
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chrm(*xy: float) -> Chunk:
    return b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in (0.3127, 0.329, *xy)))


def iccp(profile: bytes) -> Chunk:
    return b"iCCP", b"a profile\0\0" + zlib.compress(profile)


def trns(*levels: int) -> Chunk:
    return b"tRNS", struct.pack(f">{len(levels)}H", *levels)


SRGB_CHUNK: Chunk = (b"sRGB", b"\0")
PALETTE_CHUNK: Chunk = (b"PLTE", PALETTE)


def exif(orientation: int, *, kind: int = 3, count: int = 1) -> bytes:
    value = struct.pack("<HH", orientation, 0) if kind == 3 else struct.pack("<I", orientation)
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x0112, kind, count) + value + bytes(4)


def with_cicp(*codes: int) -> bytes:
    """Display P3's primaries and a power of 2.2, with a tag that says something else."""
    plain = rgb_profile("Wide gamut", DISPLAY_P3, gamma=2.2)
    tags = {}
    for at in range(132, 132 + 12 * int.from_bytes(plain[128:132]), 12):
        offset, size = struct.unpack(">II", plain[at + 4 : at + 12])
        tags[plain[at : at + 4]] = plain[offset : offset + size]
    return icc_profile("Wide gamut", b"RGB ", tags | {b"cicp": b"cicp" + bytes(4) + bytes(codes)}, version=4)


def interlaced(levels: np.ndarray) -> bytes:
    """An 8-bit RGB image in the seven passes of Adam7."""
    height, width = levels.shape[:2]
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [levels[y::down, x::right] for x, y, right, down in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    whole = raw_png((width, height, 8, 2), rows)
    header = whole[12:28] + b"\1"
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


def _pngs() -> dict[str, ColourFile]:
    def png(fate: str, *before: Chunk, values: np.ndarray = CUBE, **options: object) -> ColourFile:
        return ColourFile(png_of(values, *before, **options), fate)

    return {
        "plain": png(KEPT),
        "interlaced": ColourFile(interlaced(CUBE), KEPT),
        "one pixel": png(KEPT, values=CUBE[5:6, 5:6]),
        "cICP sRGB": png(KEPT, cicp(1, 13, 0, 1)),
        "cICP Display P3": png(CONVERTED, cicp(12, 13, 0, 1)),
        "cICP Display P3, mDCV, cLLI": png(CONVERTED, cicp(12, 13, 0, 1), (b"mDCV", bytes(24)), (b"cLLI", bytes(8))),
        "cICP BT.2020, sRGB's curve": png(CONVERTED, cicp(9, 13, 0, 1)),
        "cICP BT.709": png(CONVERTED, cicp(1, 1, 0, 1)),
        "cICP DCI-P3": png(CONVERTED, cicp(11, 4, 0, 1)),
        "cICP linear": png(CONVERTED, cicp(1, 8, 0, 1)),
        "cICP PQ": png(REFUSED, cicp(9, 16, 0, 1)),
        "cICP HLG": png(REFUSED, cicp(9, 18, 0, 1)),
        "cICP unspecified": png(REFUSED, cicp(2, 2, 0, 1)),
        "cICP limited range": png(REFUSED, cicp(12, 13, 0, 0)),
        "cICP YCbCr": png(REFUSED, cicp(12, 13, 1, 1)),
        "cICP of five bytes": png(REFUSED, cicp(12, 13, 0, 1, 0)),
        "cICP sRGB before iCCP P3": png(KEPT, cicp(1, 13, 0, 1), iccp(P3)),
        "cICP sRGB behind gAMA 1": png(KEPT, gama(1), cicp(1, 13, 0, 1)),
        "cICP behind the pixels": png(KEPT, after=[cicp(12, 13, 0, 1)]),
        "cICP behind the palette": png(REFUSED, PALETTE_CHUNK, cicp(12, 13, 0, 1), values=GRAYS % 16, colour=3),
        "cICP P3, palette": png(CONVERTED, cicp(12, 13, 0, 1), PALETTE_CHUNK, values=GRAYS % 16, colour=3),
        "cICP P3, grey": png(CONVERTED, cicp(12, 13, 0, 1), values=GRAYS),
        "two cICP": png(CONVERTED, cicp(12, 13, 0, 1), cicp(1, 13, 0, 1)),
        "iCCP sRGB": png(KEPT, iccp(srgb_profile())),
        "iCCP P3": png(CONVERTED, iccp(P3)),
        "iCCP P3 before sRGB": png(CONVERTED, SRGB_CHUNK, iccp(P3)),
        "iCCP P3 before gAMA 1": png(CONVERTED, gama(1), iccp(P3)),
        "iCCP grey, linear": png(CONVERTED, iccp(GRAY), values=GRAYS),
        "iCCP grey of a colour image": png(CONVERTED, iccp(GRAY)),
        "iCCP colour of a grey image": png(CONVERTED, iccp(LINEAR), values=GRAYS),
        "iCCP damaged": png(CONVERTED, iccp(b"no profile")),
        "iCCP damaged, gAMA 1": png(CONVERTED, iccp(b"no profile"), gama(1)),
        "iCCP damaged, sRGB": png(CONVERTED, iccp(b"no profile"), SRGB_CHUNK),
        "iCCP longer than it is": png(CONVERTED, iccp(struct.pack(">I", len(P3) + 9) + P3[4:])),
        "iCCP cut off": png(CONVERTED, (b"iCCP", b"a profile\0\0" + zlib.compress(P3)[:-9])),
        "iCCP of two devices": png(REFUSED, iccp(P3[:12] + b"link" + P3[16:])),
        "iCCP with cicp P3": png(CONVERTED, iccp(with_cicp(12, 13, 0, 1))),
        "iCCP with cicp PQ": png(REFUSED, iccp(with_cicp(9, 16, 0, 1))),
        "sRGB": png(KEPT, SRGB_CHUNK),
        "sRGB before gAMA and cHRM": png(KEPT, SRGB_CHUNK, gama(0.45455), chrm(*SRGB_XY)),
        "sRGB before gAMA 1": png(KEPT, gama(1), SRGB_CHUNK),
        "sRGB, no intent": png(REFUSED, (b"sRGB", b"\x09"), gama(1)),
        "gAMA 0.45455": png(KEPT, gama(0.45455)),
        "gAMA 0.433": png(KEPT, gama(0.433)),
        "gAMA 0.476": png(KEPT, gama(0.476)),
        "gAMA 0.43": png(CONVERTED, gama(0.43)),
        "gAMA 0.48": png(CONVERTED, gama(0.48)),
        "gAMA 1": png(CONVERTED, gama(1)),
        "gAMA 1, grey": png(CONVERTED, gama(1), values=GRAYS),
        "gAMA 0": png(REFUSED, gama(0)),
        "gAMA 0.00001": png(REFUSED, gama(0.00001)),
        "gAMA behind the pixels": png(KEPT, after=[gama(1)]),
        "two gAMA": png(CONVERTED, gama(1), gama(0.45455)),
        "gAMA 0.45455, cHRM sRGB": png(CONVERTED, gama(0.45455), chrm(*SRGB_XY)),
        "gAMA 0.45455, cHRM P3": png(CONVERTED, gama(0.45455), chrm(*P3_XY)),
        "gAMA 1, cHRM P3": png(CONVERTED, gama(1), chrm(*P3_XY)),
        "gAMA 0.45455, cHRM of zeros": png(REFUSED, gama(0.45455), (b"cHRM", bytes(32))),
        "cHRM P3 alone": png(KEPT, chrm(*P3_XY)),
        "16-bit grey": png(CONVERTED, values=GRAYS_16, depth=16),
        "16-bit RGB": png(CONVERTED, values=RGB_16, depth=16),
        "16-bit RGB, cICP P3": png(CONVERTED, cicp(12, 13, 0, 1), values=RGB_16, depth=16),
        "16-bit RGBA": png(CONVERTED, values=RNG.integers(0, 65536, (27, 27, 4)), depth=16),
        "16-bit grey, one transparent": png(CONVERTED, trns(int(GRAYS_16[5, 5])), values=GRAYS_16, depth=16),
        "16-bit grey, none transparent": png(CONVERTED, trns(int(GRAYS_16[5, 5]) + 1), values=GRAYS_16, depth=16),
        "16-bit RGB, one transparent": png(REFUSED, trns(*map(int, RGB_16[3, 3])), values=RGB_16, depth=16),
        "alpha": png(CONVERTED, values=RGBA),
        "alpha, gAMA 1": png(CONVERTED, gama(1), values=RGBA),
        "alpha, bKGD": png(CONVERTED, (b"bKGD", bytes(6)), values=RGBA),
        "grey and alpha": png(CONVERTED, values=RGBA[..., :2]),
        "RGB, one transparent": png(CONVERTED, trns(204, 102, 64)),
        "grey, one transparent": png(CONVERTED, trns(200), values=GRAYS),
        "1-bit grey, one transparent": png(CONVERTED, trns(1), values=GRAYS % 2, depth=1),
        "2-bit grey, one transparent": png(CONVERTED, trns(1), values=GRAYS % 4, depth=2),
        "4-bit grey, one transparent": png(CONVERTED, trns(5), values=GRAYS % 16, depth=4),
        "4-bit grey": png(KEPT, values=GRAYS % 16, depth=4),
        "palette": png(KEPT, PALETTE_CHUNK, values=GRAYS % 16, colour=3),
        "palette, half transparent": png(
            CONVERTED, PALETTE_CHUNK, (b"tRNS", bytes(range(0, 160, 10))), values=GRAYS % 16, colour=3, depth=4
        ),
        "eXIf 0": png(KEPT, (b"eXIf", exif(0))),
        "eXIf 6": png(CONVERTED, (b"eXIf", exif(6)), values=np.asarray(SMALL)),
        "eXIf 6 behind the pixels": png(KEPT, values=np.asarray(SMALL), after=[(b"eXIf", exif(6))]),
        "animated": ColourFile(animated("PNG"), CONVERTED),
    }  # fmt: skip


def _jpegs() -> dict[str, ColourFile]:
    def jpeg(fate: str, image: Image.Image = PHOTO, **options: object) -> ColourFile:
        return ColourFile(encoded(image, "JPEG", **{"quality": 95, **options}), fate)

    def turned(fate: str, data: bytes) -> ColourFile:
        return jpeg(fate, SMALL, exif=b"Exif\0\0" + data)

    inks = np.random.default_rng(2).integers(0, 256, 48 * 32 * 4, dtype=np.uint8).tobytes()
    tiff = b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><Description ' + tiff + b' tiff:Orientation="6"/></x:xmpmeta>'
    return {
        "plain": jpeg(KEPT),
        "progressive": jpeg(KEPT, progressive=True),
        "4:2:0, odd size": jpeg(KEPT, PHOTO.crop((0, 0, 45, 31)), subsampling=2),
        "grey": jpeg(KEPT, PHOTO.convert("L")),
        **{f"EXIF {value}": turned(KEPT if value in (0, 1, 9) else CONVERTED, exif(value)) for value in range(10)},
        "EXIF 6 in four bytes": turned(KEPT, exif(6, kind=4)),
        "EXIF 6 twice": turned(KEPT, exif(6, count=2)),
        "EXIF damaged": turned(KEPT, b"II*\0\xff\xff\xff\xff"),
        "XMP 6": jpeg(KEPT, SMALL, xmp=xmp),
        "CMYK": jpeg(CONVERTED, Image.frombytes("CMYK", (48, 32), inks)),
        "CMYK, P3": jpeg(CONVERTED, Image.frombytes("CMYK", (48, 32), inks), icc_profile=P3),
        "P3": jpeg(CONVERTED, icc_profile=P3),
        "grey, linear RGB": jpeg(CONVERTED, PHOTO.convert("L"), icc_profile=LINEAR),
        "grey, linear grey": jpeg(CONVERTED, PHOTO.convert("L"), icc_profile=GRAY),
        "profile damaged": jpeg(CONVERTED, icc_profile=b"no profile"),
        "profile with cicp PQ": jpeg(REFUSED, icc_profile=with_cicp(9, 16, 0, 1)),
        "two pictures": ColourFile(encoded(PHOTO, "MPO", save_all=True, append_images=[noise(13)]), CONVERTED),
    }


def _webps() -> dict[str, ColourFile]:
    def webp(fate: str, image: Image.Image = PHOTO, **options: object) -> ColourFile:
        return ColourFile(encoded(image, "WEBP", **options), fate)

    glass = noise(7, size=(48, 32), mode="RGBA")
    return {
        "lossy": webp(KEPT, quality=80),
        "lossless": webp(KEPT, lossless=True),
        "P3": webp(CONVERTED, lossless=True, icc_profile=P3),
        "lossy, P3": webp(CONVERTED, quality=80, icc_profile=P3),
        "sRGB": webp(KEPT, lossless=True, icc_profile=srgb_profile()),
        "alpha": webp(CONVERTED, glass, lossless=True),
        "alpha, P3": webp(CONVERTED, glass, lossless=True, icc_profile=P3),
        "alpha, lossy": webp(CONVERTED, glass.filter(ImageFilter.GaussianBlur(3)), quality=80),
        "EXIF 1": webp(KEPT, SMALL, lossless=True, exif=exif(1)),
        "EXIF 6": webp(CONVERTED, SMALL, lossless=True, exif=exif(6)),
        "animated": ColourFile(animated("WEBP"), CONVERTED),
    }


FILES = {
    f"{form} {name}": file
    for form, files in (("PNG", _pngs()), ("JPEG", _jpegs()), ("WebP", _webps()))
    for name, file in files.items()
}
