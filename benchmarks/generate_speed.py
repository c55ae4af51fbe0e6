"""What the worker costs on top of its model, and how fast a large plan is made.

The same batches go through the bare pipeline, called in a loop, and through a worker with its queue, seeds, checks,
encoding and storing, in turns in one process. On a GPU the model has the architecture of Stable Diffusion 1.5 at 512
pixels in half precision and thirty steps, on a CPU a small one at 256 and eight; weights are random. Turns differ by
what else the machine does; on two quiet cores the worker reached 98.5 % (97 to 100 % in eight turns).

    python benchmarks/generate_speed.py [BATCHES]
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from sqlalchemy import select
from transformers import CLIPTextConfig, CLIPTextModel

from app.db import Sessions, database_url, open_sessions
from app.domain import protocol
from app.domain.categories import class_list
from app.domain.generation import Options
from app.generators.diffusion_models import describe
from app.models.generation import GenerationBatch, GenerationCall, GenerationPlan
from app.models.studies import Study
from app.queue import GPU
from app.services.generation import plans
from app.services.studies import lifecycle
from app.settings import Settings
from app.storage import LocalStorage
from tests.support.worker.pipelines import tokenizer
from worker.__main__ import CONCURRENCY
from worker.engine import GenerationEngine
from worker.heartbeat import registered
from worker.malloc_tuning import limit_arenas
from worker.tasks import add_generation, make_worker_app

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
TURNS = 8
BATCH_SIZE = 8 if HAS_GPU else 2
TRIPLETS = 100_000


def save_model(folder: Path) -> None:
    """Stable Diffusion 1.5's architecture, or on a CPU a small relation of it."""
    unet, vae = ((320, 640, 1280, 1280), (128, 256, 512, 512)) if HAS_GPU else ((64, 128, 128, 128), (32, 32, 64, 64))
    text = {"hidden_size": 768, "num_hidden_layers": 12 if HAS_GPU else 2, "num_attention_heads": 12}
    torch.manual_seed(0)
    with torch.device(DEVICE):
        StableDiffusionPipeline(
            vae=AutoencoderKL(
                block_out_channels=vae,
                layers_per_block=2,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            text_encoder=CLIPTextModel(CLIPTextConfig(**text, vocab_size=200, bos_token_id=0, eos_token_id=1)),
            tokenizer=tokenizer(),
            unet=UNet2DConditionModel(
                sample_size=64 if HAS_GPU else 32,
                block_out_channels=unet,
                cross_attention_dim=768,
                attention_head_dim=8,
            ),
            scheduler=DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)


def make_study(sessions: Sessions, slug: str, order: plans.Order) -> float:
    """A study with a plan; returns the seconds that planning took, commit included."""
    with sessions.begin() as session:
        lifecycle.create(session, slug=slug, protocol=protocol.load("nights-2afc"), seed=1)
    started = time.monotonic()
    with sessions.begin() as session:
        plans.make_plan(session, slug=slug, order=order)
    return time.monotonic() - started


def calls_of(sessions: Sessions, slug: str) -> list[GenerationCall]:
    with sessions() as session:
        return list(
            session.scalars(
                select(GenerationCall)
                .join(GenerationBatch, GenerationBatch.id == GenerationCall.batch_id)
                .join(GenerationPlan, GenerationPlan.id == GenerationBatch.plan_id)
                .join(Study, Study.id == GenerationPlan.study_id)
                .where(Study.slug == slug)
                .order_by(GenerationCall.id)
            )
        )


def call_bare(pipeline: Any, call: GenerationCall) -> None:
    pipeline(
        prompt=[image["prompt"] for image in call.images],
        generator=[torch.Generator("cpu").manual_seed(image["seed"]) for image in call.images],
        num_inference_steps=call.recipe["steps"],
        guidance_scale=call.recipe["guidance"],
    )


def main(batches: int) -> None:
    limit_arenas()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        save_model(Path(folder, "model"))
        dtype = "float16" if HAS_GPU else "float32"
        options = Options(steps=30 if HAS_GPU else 8, dtype=dtype)
        model = describe(str(Path(folder, "model")), options=options)
        order = plans.Order("diffusers", ["dog"], 0, BATCH_SIZE, model.name, model.revision, model.options)
        settings = Settings(LOOKALIKE_HOME=Path(folder, "home"))
        with database_url(settings) as url, open_sessions(settings, migrate=True) as sessions:
            compare(settings, url, sessions, replace(order, per_category=batches * BATCH_SIZE))
            enqueue(sessions, order)


def compare(settings: Settings, url: str, sessions: Sessions, order: plans.Order) -> None:
    """The worker and the bare pipeline in turns, each on the same batches."""
    assert order.model is not None
    bare = StableDiffusionPipeline.from_pretrained(order.model, dtype=getattr(torch, order.options.dtype or ""))
    bare.set_progress_bar_config(disable=True)
    bare.to(DEVICE)
    workers, pipelines = [], []
    with registered(sessions, queue=GPU, device=DEVICE) as heartbeat:
        engine = GenerationEngine(sessions, LocalStorage(settings.images), heartbeat, device=DEVICE)

        def work(turn: int) -> Clock:
            make_study(sessions, f"turn-{turn}", order)
            engine.prepare()
            app = make_worker_app(url, sessions, settings)
            add_generation(app, sessions, engine)
            with Clock().running() as clock:
                app.run_worker(queues=[GPU], concurrency=CONCURRENCY[GPU], delete_jobs="successful", wait=False)
            clock.images = sum(len(call.images) for call in calls_of(sessions, f"turn-{turn}"))
            return clock

        def call(turn: int) -> Clock:
            calls = calls_of(sessions, f"turn-{turn}")
            with Clock(sum(len(call.images) for call in calls)).running() as clock:
                for call in calls:
                    call_bare(bare, call)
            return clock

        work(0)  # which warms both up
        call(0)
        for turn in range(1, TURNS + 1):
            if turn % 2:
                workers.append(work(turn))
                pipelines.append(call(turn))
            else:  # a machine that slows down wrongs neither
                pipelines.append(call(turn - 1))
                workers.append(work(turn))
    turns = list(zip(pipelines, workers, strict=True))
    reached = sorted(pipeline.seconds / worker.seconds for pipeline, worker in turns)
    print(f"worker            {total(workers)}")
    print(f"bare pipeline     {total(pipelines)}")
    print(
        f"the worker reaches {statistics.median(reached):.1%} ({reached[0]:.1%} to {reached[-1]:.1%} in {TURNS} turns)"
    )
    hours = 300_000 * statistics.median(clock.seconds / clock.images for clock in workers) / 3600
    print(f"300,000 images would take {hours:,.1f} hours on this machine, with this model")


@dataclass
class Clock:
    images: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator["Clock"]:
        started, cpu = time.monotonic(), time.process_time()
        yield self
        self.seconds += time.monotonic() - started
        self.cpu_seconds += time.process_time() - cpu

    def __str__(self) -> str:
        cpu = self.cpu_seconds / self.images
        return f"{self.images / self.seconds:>8.3f} images a second, {cpu:.3f} s of CPU an image"


def total(clocks: Sequence[Clock]) -> Clock:
    return Clock(
        sum(clock.images for clock in clocks),
        sum(clock.seconds for clock in clocks),
        sum(clock.cpu_seconds for clock in clocks),
    )


def enqueue(sessions: Sessions, order: plans.Order) -> None:
    for batch_size in (8, 1):
        one = replace(order, categories=class_list("imagenet"), per_category=TRIPLETS // 1000, batch_size=batch_size)
        seconds = make_study(sessions, f"large-{batch_size}", one)
        print(f"{TRIPLETS:,} triplets planned in batches of {batch_size}: {seconds:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
