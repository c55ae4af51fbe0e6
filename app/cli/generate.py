"""`generate`: plan items, watch them being made, take them back."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.console import HOME, AsJson, Home, err, opened, out, plain_errors, print_json, settings_for
from app.db import Sessions
from app.domain import categories as names
from app.domain.counted import counted
from app.domain.durations import duration
from app.domain.generation import DTYPES, GENERATORS, Options
from app.errors import BadInput
from app.models.generation import GenerationPlan
from app.services import study_lookup
from app.services.generation import plans
from app.services.generation.orders import order_drawings, order_images
from app.services.generation.plans import Order
from app.services.generation.progress import Progress, progress

_LARGEST_FILE = 10 * 2**20


def generate(
    name: Annotated[str, typer.Argument(help="The study's name.")],
    categories: Annotated[
        list[str] | None,
        typer.Option(help=f"A file with one category a line, or {', '.join(names.list_names())}. Repeatable."),
    ] = None,
    per_category: Annotated[int | None, typer.Option(min=1, help="Items of each category.")] = None,
    model: Annotated[str | None, typer.Option(help="A model's id on the hub, or its folder.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of a model on the hub: a commit, branch or tag.")] = None,
    generator: Annotated[str, typer.Option(help="diffusers, or procedural drawings.")] = "diffusers",
    prompt: Annotated[str, typer.Option(help="What the model is asked for.")] = names.PROMPT,
    articles: Annotated[bool, typer.Option("--articles", help='Write "an" before a vowel.')] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Items a job, three images each.", show_default="by model")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=1000, show_default="by model")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=100, show_default="by model")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels: 512, or width x height.", show_default="by model")] = None,
    dtype: Annotated[str | None, typer.Option(help=", ".join(DTYPES) + ".", show_default="by model")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A diffusers class, such as EulerDiscreteScheduler.", show_default="by model")
    ] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the model with torch.compile.")] = False,
    attention_slicing: Annotated[bool, typer.Option("--attention-slicing", help="Less memory, slower.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing until nothing is left to make.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back what is not made yet.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Make what was cancelled or failed after all.")] = False,
    as_json: AsJson = False,
    home: Home = HOME,
) -> None:
    """Plan items for a draft study; workers on the queue gpu make them. Without --categories: show how that goes.

    Example: lookalike generate shoes --categories imagenet --per-category 60 --model black-forest-labs/FLUX.1-schnell
    """
    with plain_errors():
        order = None
        if categories or per_category or model or generator != "diffusers":
            order = _order(
                sources=categories or [],
                per_category=per_category,
                generator=_one_of("--generator", generator, GENERATORS),
                model=model,
                revision=revision,
                prompt=prompt,
                articles=articles,
                batch_size=batch_size,
                options=Options(
                    steps=steps,
                    guidance=guidance,
                    **_sides(size),
                    dtype=None if dtype is None else _one_of("--dtype", dtype, DTYPES),
                    scheduler=scheduler,
                    compile=compile_,
                    attention_slicing=attention_slicing,
                ),
            )
        with opened(settings_for(home)) as sessions:
            with sessions.begin() as session:
                if order is not None:
                    _say_planned(name, plans.make_plan(session, slug=name, order=order))
                if cancel:
                    err.print(f"Took back {counted(plans.cancel(session, slug=name), 'item')}.")
                if resume:
                    err.print(f"{counted(plans.resume(session, slug=name), 'item waits', 'items wait')} again.")
            if watch:
                _watch(sessions, name)
            current = _progress(sessions, name)
        if as_json:
            print_json(current)
        elif not watch:
            out.print(_view(current))


def _order(
    *,
    sources: list[str],
    per_category: int | None,
    generator: str,
    model: str | None,
    revision: str | None,
    prompt: str,
    articles: bool,
    batch_size: int | None,
    options: Options,
) -> Order:
    if per_category is None:
        raise BadInput("Say how many: --per-category N.")
    if generator == "procedural":
        if model is not None or options != Options():
            raise BadInput("Procedural drawings have no model and none of its options.")
        wanted = _categories(sources) if sources else []
        return replace(
            order_drawings(wanted, per_category=per_category, batch_size=batch_size), prompt=prompt, articles=articles
        )
    if model is None:
        raise BadInput("Say which model: --model ID, or --generator procedural.")
    wanted = _categories(sources)
    with err.status(f"Looking at {escape(model)}"):
        return order_images(
            wanted,
            per_category=per_category,
            model=model,
            revision=revision,
            prompt=prompt,
            articles=articles,
            batch_size=batch_size,
            options=options,
        )


def _categories(sources: list[str]) -> list[str]:
    if not sources:
        raise BadInput(f"Say of what: --categories FILE, or one of {', '.join(names.list_names())}.")
    kept, merged = names.merge([(source, _category_list(source)) for source in sources])
    if merged:
        err.print(f"{len(merged):,} names stand for categories that are there already:", soft_wrap=True)
    for one in merged:
        said = escape(f"  {one.name} ({one.source}) is {one.kept} ({one.kept_source})")
        err.print(said, highlight=False, soft_wrap=True)
    return kept


def _category_list(source: str) -> list[str]:
    if source in names.list_names():
        return names.class_list(source)
    path = Path(source)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise BadInput(f"{source} is larger than {_LARGEST_FILE // 2**20} MB; that is no list of categories.")
        return names.parse(path.read_bytes(), source=source)
    except FileNotFoundError:
        raise BadInput(f"{source} is neither a file nor one of the lists {', '.join(names.list_names())}.") from None
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror}.") from None


def _one_of(option: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise BadInput(f"{option} is one of {', '.join(allowed)} (got {value!r}).")
    return value


def _sides(size: str | None) -> dict[str, int]:
    """Width and height from "512" or "768x512"."""
    if size is None:
        return {}
    sides = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", size)
    if sides is None or any(int(side) % 8 or not int(side) for side in sides.groups() if side):
        raise BadInput(f"--size is 512, or 768x512; both in eights (got {size!r}).")
    return {"width": int(sides[1]), "height": int(sides[2] or sides[1])}


def _say_planned(name: str, plan: GenerationPlan) -> None:
    categories = counted(len(plan.categories), "category", "categories")
    err.print(
        f"Planned {counted(plan.total, 'item')} of {categories} for [bold]{name}[/], "
        f"numbers {plan.first_number} to {plan.first_number + plan.total - 1}."
    )


def _progress(sessions: Sessions, name: str) -> Progress:
    with sessions() as session:
        return progress(session, study_lookup.by_slug(session, name))


def _watch(sessions: Sessions, name: str) -> None:
    with Live(console=out, refresh_per_second=4) as live:
        while True:
            current = _progress(sessions, name)
            live.update(_view(current))
            if current.is_over:
                return
            try:
                time.sleep(1)
            except KeyboardInterrupt:
                return


def _view(current: Progress) -> RenderableType:
    bar = Table.grid(padding=(0, 2))
    settled = current.items - current.waiting
    bar.add_row(
        Text(current.slug, "bold"),
        ProgressBar(total=max(current.items, 1), completed=settled, width=32, complete_style="green"),
        f"{current.made:,} of {counted(current.items, 'item')}",
    )
    return Group(bar, _footline(current), *_reasons(current), *_workers(current))


def _footline(current: Progress) -> Text:
    parts = []
    if current.images_per_second and not current.is_over:
        parts.append(f"{current.images_per_second:,.1f} images a second")
    if current.seconds_left is not None:
        parts.append(f"about {duration(current.seconds_left / 60)} to go")
    for count, what in ((current.rejected, "set aside"), (current.failed, "failed"), (current.cancelled, "cancelled")):
        if count:
            parts.append(f"{count:,} {what}")
    return Text(" · ".join(parts or ["nothing left to make" if current.is_over else "waiting"]), style="dim")


def _reasons(current: Progress) -> list[Text]:
    return [Text(f"{count:>8,}  {reason}", style="yellow") for reason, count in current.reasons.items()]


def _workers(current: Progress) -> list[Text]:
    if not current.workers and not current.is_over:
        return [Text("There is no worker for it. Start one: lookalike worker --queue gpu", style="yellow")]
    lines = []
    for worker in current.workers:
        where = f"{worker.name}  {worker.device or 'first accelerator'}  {worker.model or 'no model yet'}"
        lines.append(Text.assemble((where, "dim"), (f"  {worker.note}" if worker.note else "", "yellow")))
        if worker.problem:
            lines.append(Text(f"  takes no jobs: {worker.problem}", style="bold red"))
    return lines
