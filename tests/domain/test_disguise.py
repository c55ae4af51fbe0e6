"""Disguised images: the same picture in any length, in bytes like no other's."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.domain.disguise import BUCKET, bucket, extended_webp, padded_webp
from tests.support.pictures import encoded, noise

SIZES = st.integers(1, 70)
OPTIONS = st.sampled_from([{"lossless": True}, {"lossless": True, "exact": True}, {"quality": 90}, {"quality": 1}])


def pixels(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.load()
    return np.asarray(image.convert("RGBA"))


def chunks(data: bytes) -> list[tuple[bytes, int]]:
    """Name and length of every chunk; fails where the file is not made of whole chunks."""
    found, at = [], 12
    while at < len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        found.append((name, length))
        at += 8 + length + length % 2
    assert at == len(data)
    return found


@given(SIZES, SIZES, OPTIONS, st.integers(0, 3000), st.binary(max_size=40), st.binary(max_size=40))
def test_padding_changes_length_and_bytes_and_no_pixel(
    width: int, height: int, options: dict[str, object], extra: int, seed: bytes, other_seed: bytes
) -> None:
    simple = encoded(noise(width * 100 + height, size=(width, height)), "WEBP", **options)
    extended = extended_webp(simple, width=width, height=height)
    length = len(extended) + 8 + 2 * extra
    padded = padded_webp(extended, length=length, seed=seed)
    assert len(padded) == length
    assert struct.unpack_from("<I", padded, 4)[0] == length - 8, "the size in the RIFF header"
    assert [name for name, _ in chunks(padded)] == [b"VP8X", b"VP8L" if "lossless" in options else b"VP8 ", b"LKAL"]
    assert (pixels(padded) == pixels(simple)).all()
    assert Image.open(io.BytesIO(padded)).size == (width, height)
    assert padded == padded_webp(extended, length=length, seed=seed)
    if seed != other_seed and extra >= 8:
        assert padded != padded_webp(extended, length=length, seed=other_seed)


def test_the_canvas_may_be_as_large_as_webp_allows() -> None:
    simple = encoded(Image.new("RGB", (16383, 1)), "WEBP", lossless=True)
    padded = padded_webp(extended_webp(simple, width=16383, height=1), length=BUCKET, seed=b"")
    assert Image.open(io.BytesIO(padded)).size == (16383, 1)


def test_an_extended_file_stays_as_it_is() -> None:
    extended = extended_webp(encoded(noise(1), "WEBP"), width=24, height=16)
    assert extended_webp(extended, width=24, height=16) == extended


@given(st.integers(1, 10**8).map(lambda half: 2 * half))
def test_a_bucket_has_room_for_the_longest_and_is_one_of_few(longest: int) -> None:
    length = bucket(longest)
    assert length % BUCKET == 0
    assert longest + 8 <= length < longest + 8 + BUCKET


def test_a_length_without_room_is_refused() -> None:
    extended = extended_webp(encoded(noise(1), "WEBP"), width=24, height=16)
    assert len(padded_webp(extended, length=len(extended) + 8, seed=b"")) == len(extended) + 8
    for length in (0, len(extended), len(extended) + 6, len(extended) + 9):
        with pytest.raises(ValueError, match="cannot be padded"):
            padded_webp(extended, length=length, seed=b"")


def test_the_padding_looks_random() -> None:
    """No two alike, and nothing that a compressor could tell apart."""
    import zlib

    extended = extended_webp(encoded(noise(1), "WEBP"), width=24, height=16)
    paddings = [padded_webp(extended, length=BUCKET, seed=bytes([n]))[len(extended) + 8 :] for n in range(20)]
    assert len(set(paddings)) == 20
    assert all(len(zlib.compress(padding, 9)) > len(padding) for padding in paddings)
