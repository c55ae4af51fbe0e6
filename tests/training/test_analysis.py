import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.conftest import draw_images
from training.analysis import inversion, retrieval
from training.analysis.attention import attention_maps, draw_attention
from training.analysis.image_folder import list_images
from training.analysis.inversion import Inversion, draw_inversion, invert
from training.analysis.retrieval import (
    Index,
    draw_neighbours,
    fingerprint,
    read_index,
    update_index,
    write_index,
)
from training.analysis.sensitivity import (
    CHANGES,
    draw_sensitivities,
    read_masks,
    salient_foreground,
    sensitivities,
)
from training.backbones import open_tower
from training.config import TowerConfig
from training.errors import DataError
from training.metric import Metric
from training.models import PerceptualModel, distance

IMAGES = torch.from_numpy(draw_images(0, 6)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def metric(towers: Path) -> Metric:
    opened = [open_tower(TowerConfig(source=str(towers / name), image_size=32)) for name in ("vit", "dinov2", "clip")]
    return Metric(PerceptualModel(opened), torch.device("cpu"))


def size_of(picture: Path) -> tuple[int, int]:
    with Image.open(picture) as image:
        return image.size


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(draw_images(0, 12)):
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def test_attention_is_what_the_last_block_computes(metric: Metric) -> None:
    """Softmax(QKᵀ/√d) of the CLS token, by hand from the last block's own projections."""
    tower = next(metric.model.iter_towers())
    maps = attention_maps(metric, IMAGES)
    assert [one.shape for one in maps] == [(6, 32, 32)] * 3
    block = tower.layers[-1]
    inputs: list[torch.Tensor] = []
    hook = block.layernorm_before.register_forward_hook(lambda _module, _inputs, output: inputs.append(output))
    with torch.inference_mode():
        tower(IMAGES)
        q, k = (getattr(block.attention, f"{name}_proj")(inputs[0]).view(6, 17, 2, 16).transpose(1, 2) for name in "qk")
        weights = (q @ k.transpose(-1, -2) / 4).softmax(-1).mean(1)[:, 0, 1:].view(6, 4, 4)
    hook.remove()
    wanted = weights / weights.amax((1, 2), keepdim=True)
    enlarged = torch.nn.functional.interpolate(wanted[:, None], (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(maps[0], enlarged, atol=1e-5, rtol=0)
    assert tower.backbone.config._attn_implementation == "sdpa"


def test_attention_is_computed_in_batches(metric: Metric) -> None:
    many = IMAGES.repeat(12, 1, 1, 1)
    sizes: list[int] = []
    tower = next(metric.model.iter_towers())
    hook = tower.layers[0].register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    maps = attention_maps(metric, many)[0]
    hook.remove()
    assert sizes == [32, 32, 8]
    torch.testing.assert_close(maps[-6:], attention_maps(metric, IMAGES)[0])


def test_attention_that_is_no_number_is_not_drawn(towers: Path, tmp_path: Path) -> None:
    tower = open_tower(TowerConfig(source=str(towers / "vit"), image_size=32))
    with torch.no_grad():
        tower.layers[0].layernorm_before.weight.fill_(3e38)  # type: ignore[union-attr, operator]
    broken = Metric(PerceptualModel([tower]), torch.device("cpu"))
    with pytest.raises(DataError, match="vit gives NaN"):
        attention_maps(broken, IMAGES)


def test_attention_overlays(metric: Metric, photos: Path, tmp_path: Path) -> None:
    draw_attention(tmp_path / "a.png", metric, sorted(photos.iterdir())[:2], ["vit", "dinov2", "clip"])
    assert size_of(tmp_path / "a.png")[0] > 1000


def test_changes_keep_shape_and_range() -> None:
    for name, change in CHANGES.items():
        changed = change(IMAGES)
        assert changed.shape == IMAGES.shape, name
        assert changed.min() >= 0, name
        assert changed.max() <= 1, name
        assert not torch.equal(changed, IMAGES), name


def test_swaps_take_the_other_image_where_the_mask_says(metric: Metric) -> None:
    everything, nothing = torch.ones(6, 32, 32), torch.zeros(6, 32, 32)
    whole = {one.change: one.effect.value for one in sensitivities(metric, IMAGES, everything)}
    none = {one.change: one.effect.value for one in sensitivities(metric, IMAGES, nothing)}
    assert whole["another background"] == pytest.approx(0, abs=1e-4)
    assert none["another foreground"] == pytest.approx(0, abs=1e-4)
    assert whole["another foreground"] == pytest.approx(none["another background"])
    embedded = metric.embed(IMAGES)
    unit = torch.stack([distance(embedded[i], embedded[j]) for i in range(6) for j in range(6) if i != j]).median()
    wanted = (distance(embedded, embedded.roll(1, 0)) / unit).mean()
    assert whole["another foreground"] == pytest.approx(float(wanted), rel=1e-3)


def test_a_metric_of_grey_values_does_not_see_colours(towers: Path, tmp_path: Path) -> None:
    tower = open_tower(TowerConfig(source=str(towers / "vit"), image_size=32))
    kernel = tower.backbone.embeddings.patch_embeddings.projection.weight
    # a network that weighs red, green and blue as luma does, before its normalisation by channel
    grey = kernel.data.mean(1, keepdim=True)
    kernel.data = grey * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) * tower.std
    blind = Metric(PerceptualModel([tower]), torch.device("cpu"))
    effects = {one.change: one.effect.value for one in sensitivities(blind, IMAGES, torch.ones(6, 32, 32))}
    assert effects["grey-scale"] == pytest.approx(0, abs=1e-3)
    assert effects["quarters swapped"] > 0.02


def test_foreground_by_saliency_or_by_mask(metric: Metric, tmp_path: Path) -> None:
    mask = salient_foreground(metric, IMAGES)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert 0.3 < float(mask.mean()) < 0.45
    Image.fromarray(np.repeat([[0, 255]], 2, axis=0).astype(np.uint8)).resize((32, 32), 0).save(tmp_path / "a.png")
    read = read_masks(tmp_path, [Path("photos/a.jpg")], 32)
    assert read[0, 0, :16].sum() == 0
    assert read[0, 0, 16:].sum() == 16
    with pytest.raises(DataError, match=r"b\.png cannot be read"):
        read_masks(tmp_path, [Path("photos/b.jpg")], 32)


def test_sensitivity_chart(metric: Metric, tmp_path: Path) -> None:
    measured = sensitivities(metric, IMAGES, salient_foreground(metric, IMAGES))
    assert [one.effect.value for one in measured] == sorted((one.effect.value for one in measured), reverse=True)
    draw_sensitivities(tmp_path / "chart.png", measured, "small")
    assert size_of(tmp_path / "chart.png")[1] > 400


def test_retrieval_finds_what_the_distances_say(metric: Metric, photos: Path, tmp_path: Path) -> None:
    index = update_index(metric, photos, tmp_path / "index.safetensors")
    query = sorted(photos.iterdir())[4]
    found = index.nearest(metric.embed(query)[0], 3)
    assert found[0][0] == "04.png"
    assert found[0][1] == pytest.approx(0, abs=1e-6)
    every = distance(metric.embed(query), metric.embed(sorted(photos.iterdir())))
    assert [one for _, one in index.nearest(metric.embed(query)[0], 12)] == pytest.approx(
        sorted(every.tolist()), abs=5e-5
    )
    assert [name for name, _ in found] == [f"{i:02d}.png" for i in every.argsort()[:3].tolist()]
    draw_neighbours(tmp_path / "n.png", query, photos, found)
    assert size_of(tmp_path / "n.png")[0] > 500


def test_only_new_images_are_embedded(
    metric: Metric, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "index.safetensors"
    first = update_index(metric, photos, file)
    Image.fromarray(draw_images(7, 1)[0]).save(photos / "new.png")
    (photos / "03.png").unlink()
    embedded: list[Path] = []
    original = Metric.preprocess

    def spy(self: Metric, image: Path) -> torch.Tensor:
        embedded.append(image)
        return original(self, image)

    monkeypatch.setattr(Metric, "preprocess", spy)
    second = update_index(metric, photos, file)
    assert [image.name for image in embedded if isinstance(image, Path)] == ["new.png"]
    assert set(second.files) == set(first.files) - {"03.png"} | {"new.png"}
    assert torch.equal(second.embeddings[0], first.embeddings[0])
    assert read_index(file).files == second.files


def test_files_that_are_no_images_are_named_and_left_out(metric: Metric, photos: Path, tmp_path: Path) -> None:
    (photos / "03.png").write_bytes((photos / "03.png").read_bytes()[:300])
    (photos / "._04.png").write_bytes(b"\x00\x05\x16\x07 of macOS")
    (photos / ".hidden").mkdir()
    (photos / ".hidden/a.png").write_bytes(b"")
    told: list[str] = []
    index = update_index(metric, photos, tmp_path / "index.safetensors", on_bad=told.append)
    assert [reason.split(" cannot be")[0] for reason in told] == [str(photos / "03.png")]
    assert index.files == tuple(f"{number:02d}.png" for number in range(12) if number != 3)
    for file in photos.glob("*.png"):
        file.write_bytes(b"nothing")
    with pytest.raises(DataError, match="holds no image that can be read"):
        update_index(metric, photos, tmp_path / "index.safetensors")


def test_an_interrupted_search_goes_on_where_it_was(
    metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C amid the second batch; what was embedded before is not embedded again."""
    photos, file = tmp_path / "photos", tmp_path / "index.safetensors"
    photos.mkdir()
    for number, drawn in enumerate(draw_images(0, 40)):
        Image.fromarray(drawn).save(photos / f"{number:02d}.png")
    original, embedded = Metric.preprocess, []

    def counted(self: Metric, image: Path) -> torch.Tensor:
        if isinstance(image, Path):
            embedded.append(image.name)
        if len(embedded) == 35:
            raise KeyboardInterrupt
        return original(self, image)

    monkeypatch.setattr(Metric, "preprocess", counted)
    with pytest.raises(KeyboardInterrupt):
        update_index(metric, photos, file)
    assert len(read_index(file).files) == 32
    embedded.clear()
    assert len(update_index(metric, photos, file).files) == 40
    assert embedded == [f"{number:02d}.png" for number in range(32, 40)]


def test_an_index_is_saved_while_it_grows(
    metric: Metric, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "SAVE_EVERY", 0)
    monkeypatch.setattr(retrieval, "BATCH", 4)
    saved: list[int] = []
    file = tmp_path / "index.safetensors"

    def progress(_done: int, _total: int) -> None:
        saved.append(len(read_index(file).files) if file.exists() else 0)

    monkeypatch.setattr(retrieval, "write_index", lambda index, path: write_index(index, path) * 0)
    update_index(metric, photos, file, progress)
    assert saved == [0, 4, 8]
    assert len(read_index(file).files) == 12


def test_linked_folders_are_searched_once(metric: Metric, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(draw_images(5, 1)[0]).save(tmp_path / "elsewhere/a.png")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    (photos / "again").symlink_to(photos)
    names = [str(path.relative_to(photos)) for path in list_images(photos)]
    assert names == [*(f"{number:02d}.png" for number in range(12)), "linked/a.png"]


def test_an_index_of_another_metric_is_made_anew(metric: Metric, photos: Path, tmp_path: Path, towers: Path) -> None:
    file = tmp_path / "index.safetensors"
    update_index(metric, photos, file)
    other = Metric(
        PerceptualModel([open_tower(TowerConfig(source=str(towers / "vit"), image_size=32))]),
        torch.device("cpu"),
    )
    assert fingerprint(other) != fingerprint(metric)
    assert update_index(other, photos, file).embeddings.shape == (12, 32)


def test_what_is_no_index_or_no_folder_of_images(metric: Metric, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="is no index of images"):
        update_index(metric, photos, tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        update_index(metric, tmp_path / "empty", tmp_path / "index")


def test_a_hundred_thousand_images_in_seconds(tmp_path: Path) -> None:
    """DreamSim's 1792 features in half precision: reading the index and one search."""
    n, width = 100_000, 1792
    drawn = torch.nn.functional.normalize(torch.randn(1000, width), dim=1).half()
    embeddings = drawn.repeat(n // 1000, 1)
    embeddings[4321] = torch.nn.functional.normalize(torch.randn(width), dim=0)
    names = tuple(f"folder/{i:06d}.jpg" for i in range(n))
    write_index(Index(embeddings, names, names, "drawn"), tmp_path / "index.safetensors")
    start = time.process_time()
    found = read_index(tmp_path / "index.safetensors").nearest(embeddings[4321].float(), 10)
    assert time.process_time() - start < 5
    assert found[0][0] == "folder/004321.jpg"


def test_inversion_comes_close_to_its_target(metric: Metric, tmp_path: Path) -> None:
    result = invert(metric, IMAGES[0], steps=60)
    with torch.inference_mode():
        final = float(metric(result.image, IMAGES[0]))
        noise = float(metric(torch.full((3, 32, 32), 0.5), IMAGES[0]))
    assert final < 0.3 * noise
    again = invert(metric, IMAGES[0], steps=60)
    assert torch.equal(again.image, result.image)


def test_the_picture_of_an_inversion_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(inversion.plt, "close", kept.append)
    draw_inversion(tmp_path / "inversion.png", Inversion(IMAGES[0], IMAGES[1], [0.5, 0.25]))
    assert size_of(tmp_path / "inversion.png")[0] > 1000
    caption = kept[0].get_supxlabel()
    assert "in 2 steps until the metric takes it for the target (distance 0.500 → 0.250)" in caption
