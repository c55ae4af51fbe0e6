"""Image files of every sort, good and bad, and the colour profiles that some of them carry."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageCms

Matrix = Sequence[Sequence[float]]
Chunk = tuple[bytes, bytes]

# Columns are the primaries' XYZ, adapted to D50 as ICC profiles have them.
SRGB = ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))
DISPLAY_P3 = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def noise(seed: int, *, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """A picture that no other seed has."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, size[0] * size[1] * bands, dtype=np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def png(seed: int, *, size: tuple[int, int] = (24, 16)) -> bytes:
    return encoded(noise(seed, size=size))


def chunked(*chunks: Chunk) -> bytes:
    """A PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def raw_png(
    header: tuple[int, int, int, int], pixels: bytes, before: Sequence[Chunk] = (), after: Sequence[Chunk] = ()
) -> bytes:
    """Written chunk by chunk: width, height, bit depth, colour type; `pixels` with their filter bytes; further chunks
    before and after them.
    """
    ihdr = struct.pack(">IIBBBBB", *header, 0, 0, 0)
    return chunked((b"IHDR", ihdr), *before, (b"IDAT", zlib.compress(pixels, 9)), *after, (b"IEND", b""))


def png_of(
    values: np.ndarray,
    *before: Chunk,
    depth: int = 8,
    colour: int | None = None,
    after: Sequence[Chunk] = (),
) -> bytes:
    """A PNG of (height, width) or (height, width, channels) levels of `depth` bits a channel."""
    height, width = values.shape[:2]
    channels = values.reshape(height, width, -1).shape[2]
    if depth < 8:
        bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    else:
        rows = values.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if colour is None else colour
    return raw_png((width, height, depth, kind), b"".join(b"\0" + row.tobytes() for row in rows), before, after)


def png16(values: np.ndarray) -> bytes:
    """A 16-bit PNG: gray for (height, width), RGB for (height, width, 3)."""
    return png_of(values, depth=16)


def blank_png(width: int, height: int) -> bytes:
    """A black image in next to no bytes, however large: one bit a pixel."""
    return raw_png((width, height, 1, 0), bytes((1 + (width + 7) // 8) * height))


def animated(form: str) -> bytes:
    frames = [noise(seed) for seed in (1, 2, 3)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def rgb_profile(name: str, primaries: Matrix, *, gamma: float) -> bytes:
    """An ICC profile (version 2) of three primaries and one gamma."""
    columns = {n + b"XYZ": _xyz(*(row[i] for row in primaries)) for i, n in enumerate((b"r", b"g", b"b"))}
    curves = {n + b"TRC": _curve(gamma) for n in (b"r", b"g", b"b")}
    return icc_profile(name, b"RGB ", columns | curves)


def gray_profile(name: str, *, gamma: float) -> bytes:
    return icc_profile(name, b"GRAY", {b"kTRC": _curve(gamma)})


def icc_profile(
    name: str, pixels: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", version: int = 2
) -> bytes:
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(0.9642, 1.0, 0.8249),
    } | tags
    directory, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        directory += signature + struct.pack(">II", offset + len(body), len(data))
        body += padded
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", version << 24, b"mntr", pixels, b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(0.9642, 1.0, 0.8249)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + directory + body


def _curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">II", 0, 1) + struct.pack(">H", round(gamma * 256)) + b"\0\0"


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(value * 65536) for value in (x, y, z)))


def to_srgb(pixels: np.ndarray, primaries: Matrix, *, gamma: float) -> np.ndarray:
    """What 8-bit colours of such a profile are in sRGB: the arithmetic of colour management, done by hand."""
    linear = (pixels / 255.0) ** (round(gamma * 256) / 256)
    linear = np.clip(linear @ np.array(primaries).T @ np.linalg.inv(np.array(SRGB)).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
