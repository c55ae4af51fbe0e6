"""Images on their way in: what is refused, what `--normalise` makes of it, pixel by pixel."""

import hashlib
import io
import random
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps
from sqlalchemy import text

from app.db import Sessions
from app.errors import BadInput
from app.services.items import images
from app.services.items.images import check
from app.storage import LocalStorage
from datafiles import pixels as pixel_rules
from tests.support.colour_files import CUBE, FILES
from tests.support.pictures import (
    DISPLAY_P3,
    SRGB,
    animated,
    blank_png,
    decoded,
    encoded,
    noise,
    png,
    png16,
    png_of,
    rgb_profile,
    srgb_profile,
    to_srgb,
)

P3 = rgb_profile("Wide gamut", DISPLAY_P3, gamma=2.2)
CORRUPT_EXIF = b"Exif\0\0II*\0\xff\xff\xff\xff"


def rotated(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def palette_with_alpha() -> bytes:
    image = noise(4).convert("P")
    return encoded(image, transparency=image.getpixel((0, 0)))


BLEMISHED = {
    "RGBA": (encoded(noise(1, mode="RGBA")), "alpha channel"),
    "LA": (encoded(noise(2, mode="RGBA").convert("LA")), "alpha channel"),
    "transparent colour": (encoded(noise(3), transparency=(1, 2, 3)), "alpha channel"),
    "transparent palette": (palette_with_alpha(), "alpha channel"),
    "WebP with alpha": (encoded(noise(5, mode="RGBA"), "WEBP", lossless=True), "alpha channel"),
    "CMYK": (encoded(noise(6).convert("CMYK"), "JPEG"), "CMYK"),
    "16-bit gray": (png16(np.arange(600).reshape(20, 30)), "more than 8 bits"),
    "16-bit colour": (png16(np.arange(1800).reshape(20, 30, 3)), "more than 8 bits"),
    "rotated JPEG": (encoded(noise(7), "JPEG", exif=rotated(6)), "EXIF orientation"),
    "rotated PNG": (encoded(noise(8), exif=rotated(3)), "EXIF orientation"),
    "wide gamut": (encoded(noise(9), icc_profile=P3), "profile is not sRGB"),
    "linear, though it says sRGB": (
        encoded(noise(10), icc_profile=rgb_profile("Linear sRGB", SRGB, gamma=1.0)),
        "profile is not sRGB",
    ),
    "damaged profile": (encoded(noise(11), icc_profile=b"sRGB, honestly"), "profile is damaged"),
    "animated PNG": (animated("PNG"), "animated"),
    "animated WebP": (animated("WEBP"), "animated"),
    "two pictures in a JPEG": (encoded(noise(12), "MPO", save_all=True, append_images=[noise(13)]), "several pictures"),
}

UNUSABLE = {
    "empty": (b"", "not a JPEG, PNG or WebP image"),
    "text": (b"hello", "not a JPEG, PNG or WebP image"),
    "GIF": (encoded(noise(1), "GIF"), "not a JPEG, PNG or WebP image"),
    "TIFF": (encoded(noise(1), "TIFF"), "not a JPEG, PNG or WebP image"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG or WebP image"),
    "truncated PNG": (png(1, size=(99, 99))[:-300], "damaged"),
    "truncated JPEG": (encoded(noise(1, size=(99, 99)), "JPEG")[:-300], "damaged"),
    "truncated WebP": (encoded(noise(1, size=(99, 99)), "WEBP", lossless=True)[:-300], "damaged|not a JPEG"),
    "header alone": (png(1)[:33], "damaged|not a JPEG"),
    "48 million pixels": (blank_png(8000, 6000), "pixels are too many"),
    "100 million pixels": (blank_png(10_000, 10_000), "too many|too large"),
    "400 million pixels": (blank_png(20_000, 20_000), "too many|too large"),
    "64 MB": (png(1) + bytes(64 * 2**20), "is more than the 64 MB"),
}


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_shown_is_refused_by_name(case: str, normalise: bool) -> None:
    data, complaint = UNUSABLE[case]
    with pytest.raises(BadInput, match=complaint) as refused:
        check(data, name="ref/odd.png", normalise=normalise)
    assert refused.value.message.startswith("ref/odd.png: ")


@pytest.mark.parametrize("case", BLEMISHED)
def test_what_looks_different_elsewhere_is_refused_unless_normalised(case: str) -> None:
    data, complaint = BLEMISHED[case]
    with pytest.raises(BadInput, match=complaint) as refused:
        check(data, name="ref/odd.png")
    assert refused.value.message.startswith("ref/odd.png: ")
    assert "--normalise" in refused.value.message
    mended = check(data, name="ref/odd.png", normalise=True)
    assert (mended.extension, mended.data[:4]) == ("png", b"\x89PNG")
    assert check(mended.data, name="mended") == mended, "what was mended is in order"


@pytest.mark.parametrize(
    ("data", "extension"),
    [
        (png(1), "png"),
        (encoded(noise(2, mode="L")), "png"),
        (encoded(noise(3).convert("P")), "png"),
        (encoded(noise(4).convert("1")), "png"),
        (encoded(noise(5), "JPEG"), "jpg"),
        (encoded(noise(6, mode="L"), "JPEG"), "jpg"),
        (encoded(noise(7), "WEBP"), "webp"),
        (encoded(noise(8), icc_profile=srgb_profile()), "png"),
        (encoded(noise(9), "JPEG", exif=rotated(1)), "jpg"),
    ],
)
@pytest.mark.parametrize("normalise", [False, True])
def test_a_plain_image_keeps_its_bytes(data: bytes, extension: str, normalise: bool) -> None:
    checked = check(data, name="plain", normalise=normalise)
    assert (checked.data, checked.extension) == (data, extension)
    assert (checked.width, checked.height) == (24, 16)
    assert checked.mean_colour == pytest.approx(decoded(data).mean((0, 1)), abs=0.001)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_metadata_that_nobody_can_read_harms_nobody() -> None:
    data = encoded(noise(1), "JPEG", exif=CORRUPT_EXIF)
    assert check(data, name="odd").data == data
    assert check(encoded(noise(1), exif=b"not EXIF at all"), name="odd").extension == "png"


def test_alpha_is_laid_on_white() -> None:
    image = noise(1, mode="RGBA")
    red_green_blue, alpha = np.asarray(image)[..., :3] / 1.0, np.asarray(image)[..., 3:] / 255
    mended = decoded(check(encoded(image), name="a", normalise=True).data)
    assert np.abs(mended - (red_green_blue * alpha + 255 * (1 - alpha))).max() <= 1


def test_a_transparent_palette_entry_becomes_white_and_no_other() -> None:
    data = palette_with_alpha()
    indices = np.asarray(Image.open(io.BytesIO(data)))
    before, after = decoded(data), decoded(check(data, name="a", normalise=True).data)
    hole = indices == indices[0, 0]
    assert (after[hole] == 255).all()
    assert (after[~hole] == before[~hole]).all()
    assert (before[hole] != 255).any()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_rotated_image_is_turned_upright(orientation: int) -> None:
    image = noise(orientation)
    data = encoded(image, exif=rotated(orientation))
    mended = check(data, name="a", normalise=True)
    assert (decoded(mended.data) == pixels(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))).all()
    assert (mended.width, mended.height) == ((16, 24) if orientation >= 5 else (24, 16))
    assert Image.open(io.BytesIO(mended.data)).getexif().get(0x0112, 1) == 1
    if orientation == 6:  # said once in plain words: the left column, read upwards, is the top row
        assert (decoded(mended.data)[0] == pixels(image)[::-1, 0]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_of_sixteen_bits_the_high_byte_stays(channels: int) -> None:
    levels = np.linspace(0, 65535, 180).astype(int)
    assert (levels >> 8 != np.round(levels / 257)).any(), "another rule would show"
    values = levels.reshape(12, 15) if channels == 1 else levels.reshape(6, 10, 3)
    mended = decoded(check(png16(values), name="a", normalise=True).data)
    assert (mended == (values >> 8).reshape(*values.shape[:2], channels)).all()


def test_cmyk_becomes_what_it_prints() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    mended = decoded(check(encoded(inks, "JPEG", quality=100), name="a", normalise=True).data)
    assert np.abs(mended - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_another_profile_are_converted(mode: str) -> None:
    image = noise(1).quantize(64) if mode == "P" else noise(1, mode=mode)
    if mode == "RGBA":
        image.putalpha(255)
    mended = check(encoded(image, icc_profile=P3), name="a", normalise=True)
    expected = to_srgb(pixels(image), DISPLAY_P3, gamma=2.2)
    assert np.abs(pixels(image) - expected).max() > 20, "the profile matters"
    assert np.abs(decoded(mended.data) - expected).max() <= 1.5


def test_a_profile_is_judged_by_its_colours_not_by_its_name() -> None:
    data = encoded(noise(1), icc_profile=srgb_profile())
    assert check(data, name="a").data == data
    near = rgb_profile("Some monitor", SRGB, gamma=2.2)
    with pytest.raises(BadInput, match="not sRGB"):
        check(encoded(noise(1), icc_profile=near), name="a")


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_stays(form: str) -> None:
    first = Image.open(io.BytesIO(animated(form)))
    assert first.n_frames == 3
    assert (decoded(check(animated(form), name="a", normalise=True).data) == pixels(first)).all()


def test_several_blemishes_are_all_named_and_all_mended() -> None:
    data = encoded(noise(1, mode="RGBA"), exif=rotated(6), icc_profile=P3)
    with pytest.raises(BadInput, match="alpha channel, its EXIF orientation rotates it, its colour profile"):
        check(data, name="a")
    mended = check(data, name="a", normalise=True)
    assert (mended.width, mended.height) == (16, 24)
    assert Image.open(io.BytesIO(mended.data)).info.get("icc_profile") is None


def test_the_display_derivative_is_the_same_picture_at_most_768_wide() -> None:
    small, large = noise(1), noise(2, size=(1600, 800)).resize((1600, 800))
    for image, size in ((small, (24, 16)), (large, (768, 384))):
        shown = Image.open(io.BytesIO(check(encoded(image), name="a").derivative))
        assert (shown.format, shown.size) == ("WEBP", size)
    flat = Image.new("RGB", (40, 30), (200, 40, 90))
    assert np.abs(decoded(check(encoded(flat), name="a").derivative) - [200, 40, 90]).max() <= 4


def test_extreme_shapes_have_a_derivative() -> None:
    for size in ((20_000, 1), (1, 20_000), (1, 1)):
        checked = check(encoded(Image.new("RGB", size)), name="a")
        assert (checked.width, checked.height) == size
        assert Image.open(io.BytesIO(checked.derivative)).width >= 1


def test_at_the_limits() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_rules, "MAX_PIXELS", 24 * 16)
        patch.setattr(images, "MAX_BYTES", len(png(1)))
        assert check(png(1), name="a").width == 24
        patch.setattr(pixel_rules, "MAX_PIXELS", 24 * 16 - 1)
        with pytest.raises(BadInput, match="24 × 16 pixels are too many"):
            check(png(1), name="a")
        patch.setattr(images, "MAX_BYTES", len(png(1)) - 1)
        with pytest.raises(BadInput, match="MB"):
            check(png(1), name="a")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("normalise", [False, True])
def test_damage_is_refused_or_survived_but_never_a_crash(form: str, normalise: bool) -> None:
    options = {} if form == "WEBP" else {"exif": rotated(1), "icc_profile": srgb_profile()}
    whole = encoded(noise(1, size=(20, 20)), form, **options)
    rng = random.Random(form)
    refused = 0
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            # Metadata and headers come first: that is where the parsers are.
            data[min(rng.randrange(len(data)), rng.randrange(len(data)))] = rng.randrange(256)
        if form == "PNG":
            data = repaired(bytes(data), rng)
        if rng.random() < 0.2:
            data = data[: rng.randrange(len(data))]
        try:
            check(bytes(data), name="damaged", normalise=normalise)
        except BadInput:
            refused += 1
    assert refused > 0


def repaired(data: bytes, rng: random.Random) -> bytearray:
    """Right checksums over wrong contents, mostly, so that damage comes past the first check."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(out):
            break
        if rng.random() < 0.9:
            out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4)
        at = end + 4
    return out


def test_what_an_earlier_version_stored_is_shown_as_browsers_show_it(sessions: Sessions, storage: LocalStorage) -> None:
    data = FILES["PNG gAMA 1"].data
    with sessions.begin() as session:
        kept = check(png_of(CUBE), name="a")
        images.store(session, storage, [replace(kept, data=data, sha256=hashlib.sha256(data).hexdigest())])
    with sessions.begin() as session:
        sha256 = hashlib.sha256(data).hexdigest()
        images.add_derivatives(session, storage, sha256s=[sha256], derivative=images.LOSSLESS)
    with sessions() as session:
        key = session.scalars(
            text("SELECT sha256 FROM derivatives WHERE image = :image AND kind = 'lossless'"), {"image": sha256}
        ).one()
    mended = check(data, name="a", normalise=True)
    assert (decoded(storage.get(key)) == decoded(mended.data)).all()
