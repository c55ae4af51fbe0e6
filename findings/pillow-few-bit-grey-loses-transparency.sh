#!/usr/bin/env bash
# Pillow: the transparent level of a 4-bit grey PNG is not transparent.
#
# Where: PNGs of 2 or 4 bits, colour type 0 (grey), with a tRNS chunk; line drawings and masks are saved so.
# Guess: 16 columns of the levels 0 … 15 with tRNS = 5: one column of alpha 0 after convert("RGBA").
# Seen:  none. The pixels are stretched to 8 bits (5 becomes 85), the transparent level is left as it was (5), so nothing equals
#        it. With 8 bits the same picture has its transparent column. Browsers show the background there in both cases.
# Do:    compare with tRNS stretched alike, or save such pictures with 8 bits.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pillow==13.0.0
"$work/venv/bin/python" - <<'PY'
import io
import struct
import zlib

import PIL
from PIL import Image


def png(depth, rows, transparent):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    width = len(rows[0]) * 8 // depth
    return b"".join([
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, 0, 0, 0, 0)),
        chunk(b"tRNS", struct.pack(">H", transparent)),
        chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        chunk(b"IEND", b""),
    ])


levels = range(16)
files = {
    4: png(4, [bytes(a << 4 | b for a, b in zip(levels[::2], levels[1::2], strict=True))] * 2, 5),
    8: png(8, [bytes(level * 17 for level in levels)] * 2, 5 * 17),
}
clear = {}
for depth, data in files.items():
    image = Image.open(io.BytesIO(data))
    alpha = image.convert("RGBA").getchannel("A")
    clear[depth] = [x for x in range(16) if alpha.getpixel((x, 0)) == 0]
    print(f"Pillow {PIL.__version__}, {depth} bits: tRNS {image.info['transparency']}, transparent columns {clear[depth]}")
assert clear == {4: [], 8: [5]}
PY
