import errno
import hashlib
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datafiles import pixels as rules
from tests.support.colour_files import FILES, REFUSED
from tests.training.conftest import draw_images
from training import image_cache
from training.errors import DataError
from training.image_cache import open_cache


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "images" / f"{i}.png" for i in range(5)]
    paths[0].parent.mkdir()
    for path, pixels in zip(paths, draw_images(0, 5), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def test_holds_the_decoded_pixels_in_order(images: list[Path], tmp_path: Path) -> None:
    cache = open_cache(images, 32, tmp_path / "cache")
    batch = cache[np.array([3, 1, 3])]
    assert batch.shape == (3, 3, 32, 32)
    for row, path in zip(batch, (images[3], images[1], images[3]), strict=True):
        assert np.array_equal(row.permute(1, 2, 0), np.asarray(Image.open(path)))
    assert cache.sha256[2] == hashlib.sha256(images[2].read_bytes()).hexdigest()


def test_resizes_as_pil_does(images: list[Path], tmp_path: Path) -> None:
    cache = open_cache(images, 20, tmp_path)
    wanted = Image.open(images[0]).convert("RGB").resize((20, 20), Image.Resampling.BICUBIC)
    assert np.array_equal(cache.pixels[0], np.asarray(wanted))


def test_later_runs_decode_nothing(images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_cache(images, 32, tmp_path / "cache")
    monkeypatch.setattr(image_cache, "decode", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(open_cache(images, 32, tmp_path / "cache").pixels, first.pixels)


def test_a_changed_image_makes_a_new_cache(images: list[Path], tmp_path: Path) -> None:
    before = open_cache(images, 32, tmp_path / "cache").pixels[0].copy()
    Image.fromarray(draw_images(9, 1)[0]).save(images[0])
    os.utime(images[0], ns=(1, 1))
    assert not np.array_equal(open_cache(images, 32, tmp_path / "cache").pixels[0], before)


def test_a_damaged_cache_is_named(images: list[Path], tmp_path: Path) -> None:
    open_cache(images, 32, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*/pixels.npy")
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"pixels\.npy is damaged; delete .* to make"):
        open_cache(images, 32, tmp_path / "cache")


def test_an_undecodable_image_leaves_no_cache(images: list[Path], tmp_path: Path) -> None:
    images[2].write_bytes(images[2].read_bytes()[:200])
    with pytest.raises(DataError, match=r"2\.png cannot be used as an image: .*damaged"):
        open_cache(images, 32, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_hashes_of_the_manifest_are_compared(images: list[Path], tmp_path: Path) -> None:
    expected = {path.resolve(): hashlib.sha256(path.read_bytes()).hexdigest() for path in images}
    open_cache(images, 32, tmp_path / "cache", expected)
    expected[images[4].resolve()] = "0" * 64
    with pytest.raises(DataError, match=r"4\.png is not the file that was exported: its sha256 is"):
        open_cache(images, 32, tmp_path / "cache", expected)


def test_a_full_disk_leaves_no_cache(images: list[Path], tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # files may not grow beyond 4 kB
    try:
        with pytest.raises(DataError, match=f"failed: {os.strerror(errno.EFBIG)}"):
            open_cache(images, 64, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("case", ["PNG cICP PQ", "PNG 16-bit RGB, one transparent", "JPEG profile with cicp PQ"])
def test_an_image_that_programs_show_differently_is_refused_by_name(case: str, tmp_path: Path) -> None:
    assert FILES[case].fate == REFUSED
    (tmp_path / "odd.png").write_bytes(FILES[case].data)
    with pytest.raises(DataError, match=r"odd\.png cannot be used as an image: "):
        open_cache([tmp_path / "odd.png"], 32, tmp_path / "cache")


def test_pixels_decoded_by_other_rules_are_decoded_anew(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(images, 32, tmp_path / "cache")
    monkeypatch.setattr(rules, "RULES", rules.RULES + 1)
    open_cache(images, 32, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2
