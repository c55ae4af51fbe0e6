#!/usr/bin/env bash
# littleCMS (through Pillow): a linear grey profile converted to sRGB is wrong by up to ten levels in the shadows.
#
# Where: ImageCms.profileToProfile(image, grey profile, sRGB, outputMode="RGB") on 8-bit grey, at default flags: renders and scans
#        with linear grey.
# Guess: within one level of the sRGB curve.
# Seen:  level 2 becomes 12; the formula gives 21.7. With FLAGS["NOOPTIMIZE"] it is within one level everywhere.
# Do:    pass NOOPTIMIZE for grey, or convert in 16 bits.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0
"$work/venv/bin/python" - <<'PY'
import io
import struct

import PIL
from PIL import Image, ImageCms, features


def fixed(value):
    return struct.pack(">i", round(value * 65536))


def linear_grey():
    """A version 2 profile of grey: white point D50 and a curve with no points, which is the identity."""
    text = b"linear grey\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642) + fixed(1.0) + fixed(0.8249),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0),
        b"cprt": b"text\0\0\0\0none\0",
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = bytearray(128)
    head[8:12] = bytes([2, 0x40, 0, 0])
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    profile = bytes(head) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def formula(level):
    light = level / 255
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


source, target = ImageCms.ImageCmsProfile(io.BytesIO(linear_grey())), ImageCms.createProfile("sRGB")
ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
print(f"Pillow {PIL.__version__}, littleCMS {features.version('littlecms2')}")
off = {}
for name, flags in (("default", 0), ("NOOPTIMIZE", ImageCms.Flags.NOOPTIMIZE)):
    shown = ImageCms.profileToProfile(ramp, source, target, outputMode="RGB", flags=flags).getchannel("G").tobytes()
    off[name] = max(abs(value - formula(level)) for level, value in enumerate(shown))
    print(f"{name}: level 2 becomes {shown[2]} (formula {formula(2):.1f}); at most {off[name]:.1f} levels off")
assert off["default"] > 9
assert off["NOOPTIMIZE"] < 1
PY
