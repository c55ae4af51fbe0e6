"""How a file becomes pixels, against arithmetic done by hand; tests/browser/test_pixels.py has the browser's view."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datafiles import pixels
from datafiles.errors import BadFile
from tests.support.colour_files import CUBE, FILES, GRAYS, KEPT, P3_XY, REFUSED, chrm, cicp, exif, gama, trns
from tests.support.pictures import DISPLAY_P3, SRGB, blank_png, encoded, gray_profile, noise, png_of, to_srgb

PHOTO = noise(2)


def upright(data: bytes) -> np.ndarray:
    return np.asarray(pixels.read(data).upright_srgb()).astype(int)


def srgb_curve(levels: np.ndarray) -> np.ndarray:
    linear = levels / 255
    return np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(
    ("chunks", "primaries", "gamma"),
    [
        ([gama(1)], SRGB, 1.0),
        ([gama(0.5)], SRGB, 2.0),
        ([gama(0.5), chrm(*P3_XY)], DISPLAY_P3, 2.0),
        ([cicp(12, 8, 0, 1)], DISPLAY_P3, 1.0),
    ],
)
def test_colours_that_chunks_describe_are_converted(chunks: list, primaries: tuple, gamma: float) -> None:
    expected = to_srgb(CUBE, primaries, gamma=gamma)
    assert np.abs(CUBE - expected).max() > 8, "the chunks matter"
    assert np.abs(upright(png_of(CUBE, *chunks)) - expected).max() <= 1.5


def test_display_p3_with_srgb_s_curve() -> None:
    linear = srgb_curve(CUBE) @ np.array(DISPLAY_P3).T @ np.linalg.inv(np.array(SRGB)).T
    clipped = np.clip(linear, 0, 1)
    expected = 255 * np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    assert np.abs(upright(png_of(CUBE, cicp(12, 13, 0, 1))) - expected).max() <= 1.5


def test_every_level_of_a_grey_profile_is_exact() -> None:
    data = encoded(Image.fromarray(GRAYS), icc_profile=gray_profile("Linear", gamma=1.0))
    assert np.abs(upright(data) - to_srgb(GRAYS[..., None].repeat(3, 2), SRGB, gamma=1.0)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ("PNG cICP PQ", r"HDR \(PQ\)"),
        ("PNG cICP HLG", r"HDR \(HLG\)"),
        ("JPEG profile with cicp PQ", r"HDR \(PQ\)"),
        ("PNG cICP limited range", "cICP chunk says 12/13/0/0"),
        ("PNG cICP of five bytes", "cICP chunk is damaged"),
        ("PNG cICP behind the palette", "cICP chunk comes after the palette"),
        ("PNG sRGB, no intent", "sRGB chunk is damaged"),
        ("PNG gAMA 0", "gAMA chunk says 0.0"),
        ("PNG gAMA 0.45455, cHRM of zeros", "cHRM chunk cannot be"),
        ("PNG iCCP of two devices", "colour profile is not one of images"),
        ("PNG 16-bit RGB, one transparent", "one transparent colour"),
    ],
)
def test_what_no_two_programs_show_alike_is_refused_in_words(case: str, complaint: str) -> None:
    assert FILES[case].fate == REFUSED
    with pytest.raises(BadFile, match=complaint):
        pixels.read(FILES[case].data)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_level_of_grey_is_white_and_no_other(depth: int) -> None:
    levels = GRAYS.astype(int) % 2**depth
    shown = upright(png_of(levels, trns(1), depth=depth))[..., 0]
    expected = np.where(levels == 1, 255, levels * 255 // (2**depth - 1))
    assert (shown == expected).all()


def test_two_16_bit_images_that_differ_differ() -> None:
    dark, light = (np.full((8, 8), level) for level in (300, 60_000))
    assert (upright(png_of(dark, depth=16)) == 1).all()
    assert (upright(png_of(light, depth=16)) == 234).all()


def by_pillow(data: bytes, *, decoded: bool) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        if decoded:
            image.load()
        return np.asarray(pixels.of_pillow(image).upright_srgb()).astype(int)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("case", FILES)
def test_an_image_that_pillow_opened_is_the_file(case: str) -> None:
    data = FILES[case].data
    if FILES[case].fate == REFUSED:
        with pytest.raises(BadFile):
            by_pillow(data, decoded=False)
    else:
        assert (by_pillow(data, decoded=False) == upright(data)).all()


FORGOTTEN = ("cICP", "behind the pixels", "two gAMA", "2-bit grey, one", "4-bit grey, one")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "case", [case for case, file in FILES.items() if file.fate != REFUSED and not any(one in case for one in FORGOTTEN)]
)
def test_an_image_that_pillow_decoded_is_the_file_as_far_as_pillow_remembers(case: str) -> None:
    assert (by_pillow(FILES[case].data, decoded=True) == upright(FILES[case].data)).all()


def test_taking_an_opened_image_leaves_it_as_it_was() -> None:
    with Image.open(io.BytesIO(FILES["PNG alpha"].data)) as image:
        first, second = (pixels.of_pillow(image).upright_srgb() for _ in range(2))
        assert first == second
        with Image.open(io.BytesIO(FILES["PNG alpha"].data)) as other:
            assert (np.asarray(image) == np.asarray(other)).all()


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_other_formats_of_eight_bits_are_read(form: str, mode: str) -> None:
    image = PHOTO.convert(mode)
    data = encoded(image, form)
    with Image.open(io.BytesIO(data)) as opened:
        assert (upright(data) == np.asarray(opened.convert("RGB"))).all()


def test_tiffs_are_upright_and_of_16_bits_keep_the_high_byte() -> None:
    values = np.arange(384, dtype=np.uint16).reshape(16, 24) * 170
    assert (upright(encoded(Image.fromarray(values), "TIFF"))[..., 0] == values >> 8).all()
    turned = encoded(PHOTO, "TIFF", tiffinfo={0x0112: 6})
    assert (upright(turned) == np.asarray(PHOTO.transpose(Image.Transpose.ROTATE_270))).all()


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_without_a_range_are_refused(kind: type) -> None:
    image = Image.fromarray(np.linspace(0, 1, 384).reshape(16, 24).astype(kind))
    with pytest.raises(BadFile, match="numbers of a range that it does not say"):
        pixels.read(encoded(image, "TIFF"))
    with pytest.raises(BadFile, match="numbers of a range that it does not say"):
        pixels.of_pillow(image)


@pytest.mark.parametrize(("tag", "value"), [(258, 12), (262, 0)])
def test_16_bits_that_are_fewer_or_count_from_white_are_refused(tag: int, value: int) -> None:
    data = bytearray(encoded(Image.fromarray(np.full((16, 24), 300, np.uint16)), "TIFF"))
    at = data.index(struct.pack("<HHI", tag, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", value)
    with pytest.raises(BadFile, match=r"not 16 bits from black to white|damaged"):
        pixels.read(bytes(data))


@pytest.mark.parametrize("form", ["JPEG2000", "ICO", "PPM", "TGA"])
def test_formats_whose_colours_nobody_checks_are_refused(form: str) -> None:
    with pytest.raises(BadFile, match="not a JPEG, PNG, WebP, BMP, GIF or TIFF image"):
        pixels.read(encoded(PHOTO, form))


@pytest.mark.parametrize("size", [(8000, 6000), (10_000, 10_000), (20_000, 20_000)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(BadFile, match="too many"):
        pixels.read(blank_png(*size))


@pytest.mark.parametrize("form", pixels.READABLE)
def test_a_cut_file_is_refused(form: str) -> None:
    whole = encoded(noise(1, size=(99, 99)), form)
    with pytest.raises(BadFile, match=r"damaged|this is not"):
        pixels.read(whole[: len(whole) * 2 // 3])


def test_indices_without_a_palette_are_refused() -> None:
    with pytest.raises(BadFile, match="palette is missing"):
        pixels.read(png_of(GRAYS % 16, colour=3))


def test_a_cut_file_that_pillow_has_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(encoded(noise(1, size=(99, 99)), "JPEG")[:-300])
    with Image.open(tmp_path / "cut.jpg") as image, pytest.raises(BadFile, match="damaged"):
        pixels.of_pillow(image)


def test_orientation_is_read_in_both_byte_orders_and_from_no_other_place() -> None:
    big = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    turned = np.asarray(PHOTO.transpose(Image.Transpose.ROTATE_270))
    for data in (exif(6), big):
        assert (upright(encoded(PHOTO, exif=data)) == turned).all()
    for data in (exif(6)[:20], exif(6)[:9], b"II*\0\xff\xff\xff\x7f", b"II", exif(6).replace(b"\x08", b"\xf0")):
        assert (upright(encoded(PHOTO, exif=data)) == np.asarray(PHOTO)).all()


def test_kept_files_have_no_blemish_and_the_numbers_they_had() -> None:
    for name, file in FILES.items():
        if file.fate == KEPT and not name.startswith("JPEG EXIF"):
            with Image.open(io.BytesIO(file.data)) as image:
                assert (upright(file.data) == np.asarray(image.convert("RGB"))).all(), name
