"""Real diffusers pipelines with random weights: what they make, make again, refuse, and how they fail."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from app.domain.generation import ROLES, SEEDS_PER_IMAGE, Options, image_seed
from app.errors import BadInput
from app.generators.diffusion_models import check_prompts, describe
from app.services.generation.batches import Call, Wanted, Work
from tests.support.worker import pipelines
from tests.worker.conftest import OPTIONS
from worker.generator import CannotGenerate, Drawn, ImageRequest, Stopped
from worker.text_to_image import TextToImage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


def load(folder: Path, **changes: Any) -> TextToImage:
    described = describe(str(folder), options=replace(OPTIONS, **changes))
    return TextToImage.load(described.name, described.revision, described.options, "cpu")


def work(*, items: int = 4) -> Work:
    wanted = [Wanted(number, "dog", "An image of a dog") for number in range(items)]
    return Work(1, "study", 3, "2afc", "diffusers", "model", "revision", OPTIONS, wanted)


def make(model: TextToImage, *, items: int = 4) -> Drawn:
    return model.make(work(items=items), lambda: False)


def requests(call: Call) -> list[ImageRequest]:
    return [ImageRequest(**request) for request in call.images]


def same(first: Image.Image, second: Image.Image) -> bool:
    return np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("build", [pipelines.stable_diffusion, pipelines.flux])
def test_made_again_from_the_record_the_pixels_are_the_same(build: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = build(tmp_path / "model")
    drawn = make(load(folder))
    assert [item.wanted.number for item in drawn.items] == [0, 1, 2, 3]
    (call,) = drawn.calls
    assert call.images[5] == {
        "number": 1, "role": "candidate_1", "attempt": 0, "prompt": "An image of a dog",
        "seed": image_seed(3, 1, "candidate_1", 0),
    }  # fmt: skip
    assert {"model", "revision", "scheduler", "steps", "guidance", "width", "height", "dtype", "device"} < set(
        call.recipe
    )
    assert call.recipe["versions"]["diffusers"] == diffusers.__version__

    another = load(folder)
    again = another.call(requests(call))
    made = [image for item in drawn.items for image in item.images]
    assert all(same(image, generated.image) for image, generated in zip(made, again, strict=True))
    assert len({image.tobytes() for image in made}) == len(made)
    # The seed alone decides what an image shows; its batch may touch the last bit of a level.
    alone = np.asarray(another.call(requests(call)[5:6])[0].image).astype(int)
    assert np.abs(alone - np.asarray(made[5])).max() <= 1


def blank(pipeline: Any) -> None:
    pipeline.vae.decoder.conv_out.weight.zero_()
    pipeline.vae.decoder.conv_out.bias.zero_()


def one_for_all(pipeline: Any) -> None:
    pipeline.vae.post_quant_conv.weight.zero_()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"change": blank}, "reference: blank (8 seeds tried)"),
        ({"change": one_for_all}, "candidate_0: nearly the same as another image of its item (8 seeds tried)"),
        ({"safety": -1.0}, "reference: the safety checker objected (8 seeds tried)"),
    ],
    ids=["blank", "duplicates", "unsafe"],
)
def test_an_item_that_never_will_do_is_rejected(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    model = load(pipelines.stable_diffusion(tmp_path / "model", **options))
    drawn = make(model, items=2)
    assert (drawn.items, drawn.rejected) == ([], {0: reason, 1: reason})
    assert len(drawn.calls) == SEEDS_PER_IMAGE


def object_to_some(model: TextToImage) -> None:
    """Move the safety checker's threshold to where it objects to about half of what the model makes."""
    some = [ImageRequest(0, "reference", 0, seed, "An image of a dog") for seed in range(12)]
    low, high, refused = -1.0, 1.0, len(some)
    while not 3 <= refused <= 9:
        middle = (low + high) / 2
        model._pipeline.safety_checker.concept_embeds_weights.data.fill_(middle)
        refused = sum(generated.is_unsafe for generated in model.call(some))
        low, high = (middle, high) if refused > 6 else (low, middle)


def test_what_the_safety_checker_objects_to_is_made_from_the_next_seed(tmp_path: Path) -> None:
    model = load(pipelines.stable_diffusion(tmp_path / "model", safety=-1.0))
    object_to_some(model)
    drawn = make(model, items=6)
    assert len(drawn.calls) > 1
    later = [origin for item in drawn.items for origin in item.origins if origin[0] > 0]
    assert later, "no image came from a later seed"
    again = [model.call(requests(call)) for call in drawn.calls]
    for item in drawn.items:
        for role, image, (call, place) in zip(ROLES, item.images, item.origins, strict=True):
            request = drawn.calls[call].images[place]
            assert (request["number"], request["role"], request["attempt"]) == (item.wanted.number, role, call)
            assert same(image, again[call][place].image)


def no_room_for_more_than(model: TextToImage, images: int) -> None:
    def check(_module: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        if arguments[0].shape[0] > 2 * images:  # each has its unguided twin
            raise torch.OutOfMemoryError("out of memory")

    model._pipeline.unet.register_forward_pre_hook(check)


def test_out_of_memory_halves_the_batch_and_says_so(model: Path) -> None:
    pipeline = load(model)
    whole = make(pipeline)
    no_room_for_more_than(pipeline, 4)
    halved = make(pipeline)
    assert [len(call.images) for call in halved.calls] == [3, 3, 3, 3]
    assert pipeline.note == "cpu has no room for 6 images at a time; goes on with 3"
    assert [len(call.images) for call in make(pipeline).calls] == [3, 3, 3, 3], "it does not try again every time"
    for first, second in zip(whole.items, halved.items, strict=True):
        assert all(
            np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 1
            for one, other in zip(first.images, second.images, strict=True)
        )
    no_room_for_more_than(pipeline, 0)
    with pytest.raises(CannotGenerate, match="no room for a single image"):
        make(pipeline)


def test_a_worker_that_is_to_stop_does_so_between_two_steps(model: Path) -> None:
    looks = iter([False, True])
    with pytest.raises(Stopped):
        load(model, steps=8).make(work(), lambda: next(looks))
    with pytest.raises(StopIteration):
        next(looks)


def test_options_reach_the_pipeline(model: Path) -> None:
    pipeline = load(model, scheduler="DDIMScheduler", attention_slicing=True, dtype="bfloat16", height=64, guidance=1.0)
    assert type(pipeline._pipeline.scheduler).__name__ == pipeline.recipe["scheduler"] == "DDIMScheduler"
    (generated,) = pipeline.call([ImageRequest(0, "reference", 0, 1, "An image of a dog")])
    assert generated.image.size == (32, 64)


def test_presets_by_kind(tmp_path: Path, model: Path) -> None:
    sd_1 = describe(str(model), options=Options())
    assert (sd_1.preset.name, sd_1.options) == (
        "Stable Diffusion 1.x", Options(steps=30, guidance=7.5, width=32, height=32, dtype="float16"),
    )  # fmt: skip
    dev = describe(str(pipelines.flux(tmp_path / "flux")), options=Options(guidance=0.0))
    assert (dev.preset.name, dev.options) == (
        "FLUX.1 dev", Options(steps=28, guidance=0.0, width=1024, height=1024, dtype="bfloat16"),
    )  # fmt: skip
    config = tmp_path / "flux/transformer/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": False}))
    schnell = describe(str(tmp_path / "flux"), options=Options())
    assert (schnell.preset.name, schnell.options.steps) == ("FLUX.1 schnell", 4)


def test_prompts_over_the_limit_are_named(model: Path) -> None:
    described = describe(str(model), options=OPTIONS)
    check_prompts(described, ["An image of a dog"])
    with pytest.raises(BadInput) as refused:
        check_prompts(described, ["An image of a dog", "An image of a " + "g" * 80])
    assert (
        refused.value.message
        == f"1 prompts are too long: 'An image of a {'g' * 80}' has 92 tokens, the model reads 77."
    )


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such folder": (shutil.rmtree, "is neither a folder nor the id"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "lacks model_index.json"),
    "a damaged index": (lambda folder: (folder / "model_index.json").write_text("{"), "is not a JSON object"),
    "no weights": (
        lambda folder: (folder / "unet/diffusion_pytorch_model.safetensors").unlink(), "lacks the weights of its unet"
    ),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "lacks its tokenizer"),
    "an unknown pipeline": (
        lambda folder: (folder / "model_index.json").write_text('{"_class_name": "Dreams"}'), "does not know"
    ),
    "no text-to-image": (
        lambda folder: (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionUpscalePipeline"}'),
        "makes no images from text alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_is_not_usable(model: Path, tmp_path: Path, case: str) -> None:
    damage, complaint = BROKEN[case]
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    before = describe(str(folder), options=OPTIONS)
    damage(folder)
    with pytest.raises(BadInput, match=complaint):
        describe(str(folder), options=OPTIONS)
    with pytest.raises(CannotGenerate):
        TextToImage.load(before.name, before.revision, before.options, "cpu")


def test_weights_other_than_the_plans_are_refused(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    before = describe(str(folder), options=OPTIONS)
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(CannotGenerate, match="are not those that the plan was made with"):
        TextToImage.load(before.name, before.revision, before.options, "cpu")


@pytest.mark.parametrize(
    ("model_id", "complaint"),
    [
        ("no/such/model", "neither a folder nor the id"),
        ("nobody/nothing", "is not on this machine, and the hub cannot"),
    ],
)
def test_a_model_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, model_id: str, complaint: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match=complaint):
        describe(model_id, options=Options())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"scheduler": "NoScheduler"}, "does not go with"),
        ({"scheduler": "FlowMatchEulerDiscreteScheduler"}, "These do: .*DDIMScheduler"),
        ({"scheduler": "FlowMatchEulerDiscreteScheduler"}, "These do: (?!.*DPMSolverSDEScheduler)"),
        ({"scheduler": "DPMSolverSDEScheduler"}, "ignores the seed"),
    ],
)
def test_options_that_the_model_has_not(model: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        describe(str(model), options=replace(OPTIONS, **changes))


def test_a_model_whose_own_scheduler_ignores_seeds_needs_another(model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    for name, key in (("model_index.json", "scheduler"), ("scheduler/scheduler_config.json", "_class_name")):
        config = json.loads((folder / name).read_text())
        config[key] = ["diffusers", "DPMSolverSDEScheduler"] if key == "scheduler" else "DPMSolverSDEScheduler"
        (folder / name).write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"DPMSolverSDEScheduler ignores the seed of an image.*--scheduler"):
        describe(str(folder), options=OPTIONS)
    assert describe(str(folder), options=replace(OPTIONS, scheduler="DPMSolverMultistepScheduler"))


def test_devices(model: Path) -> None:
    described = describe(str(model), options=OPTIONS)
    by_itself = TextToImage.load(described.name, described.revision, described.options, None)
    assert by_itself.recipe["device"]
    with pytest.raises(CannotGenerate, match="The device 'cuda:63' cannot be used"):
        TextToImage.load(described.name, described.revision, described.options, "cuda:63")
