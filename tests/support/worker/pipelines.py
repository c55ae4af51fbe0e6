"""Real diffusers pipelines with random weights, small enough to build and run in a moment, saved like anybody's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

SIDE = 32
"""Pixels."""

diffusers.utils.logging.disable_progress_bar()
_SIGNS = [chr(code) for code in range(33, 127)]


def stable_diffusion(folder: Path, *, safety: float | None = None, change: Callable[[Any], None] | None = None) -> Path:
    """A StableDiffusionPipeline of 32 pixels.

    Args:
        safety: with a safety checker that objects to images whose score, from -1 to 1, is above this.
        change: done to the pipeline before it is saved.
    """
    torch.manual_seed(0)
    checker = None
    if safety is not None:
        checker = StableDiffusionSafetyChecker(_tiny_clip())
        with torch.no_grad():
            checker.concept_embeds.normal_()
            checker.concept_embeds_weights.fill_(safety)
            checker.special_care_embeds_weights.fill_(2)  # which no cosine reaches
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(16, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
        ),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        tokenizer=tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=SIDE // 2,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
            norm_num_groups=8,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1, beta_schedule="scaled_linear"),
        safety_checker=checker,
        feature_extractor=None if checker is None else CLIPImageProcessor(size={"shortest_edge": 8}, crop_size=8),
        requires_safety_checker=checker is not None,
    )
    return _saved(pipeline, folder, change)


def flux(folder: Path) -> Path:
    """A FluxPipeline, guided like FLUX.1 dev."""
    torch.manual_seed(0)
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKL(
            block_out_channels=(8,), latent_channels=1, norm_num_groups=4, shift_factor=0.06, scaling_factor=1.5,
            use_quant_conv=False, use_post_quant_conv=False,
        ),
        text_encoder=CLIPTextModel(_text_config()).eval(),
        tokenizer=tokenizer(),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
        ).eval(),
        tokenizer_2=T5Tokenizer(
            vocab=[*((token, 0.0) for token in ("<pad>", "</s>", "<unk>")), *((sign, -1.0) for sign in ("▁", *_SIGNS))],
            extra_ids=0, model_max_length=512,
        ),
        transformer=FluxTransformer2DModel(
            in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
        ),
    )  # fmt: skip
    return _saved(pipeline, folder, None)


def _saved(pipeline: Any, folder: Path, change: Callable[[Any], None] | None) -> Path:
    if change is not None:
        with torch.no_grad():
            change(pipeline)
    pipeline.save_pretrained(folder)
    return folder


def _text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        vocab_size=200,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def _tiny_clip() -> CLIPConfig:
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 8, "patch_size": 4, "projection_dim": 16}  # fmt: skip
    return CLIPConfig(vision_config=vision, projection_dim=16)


def tokenizer() -> CLIPTokenizer:
    """One token a letter."""
    tokens = ["<|startoftext|>", "<|endoftext|>", *_SIGNS, *(sign + "</w>" for sign in _SIGNS)]
    return CLIPTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=[], model_max_length=77)
