"""The orientation that an image's EXIF gives, read as browsers read it."""

import struct

UPRIGHT = 1
_TAG, _SHORT = 0x0112, 3
_ENTRY = 12  # bytes: tag, type, count, value


def read_orientation(exif: bytes) -> int:
    """1 to 8; 1 where nothing says otherwise: no EXIF, a damaged one, a value that means nothing, or of another type.

    Source: EXIF 2.32, 4.6.4 (one SHORT in the first directory).
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    if directory + 2 > len(tiff):
        return UPRIGHT
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    last = len(tiff) - _ENTRY
    for at in range(directory + 2, min(directory + 2 + _ENTRY * count, last + 1), _ENTRY):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", tiff, at)
        if (tag, kind, values) == (_TAG, _SHORT, 1):
            return int(value) if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
