"""Having a draft's items generated: the order, and how far it has come."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.domain import categories as names
from app.domain.counted import counted
from app.domain.durations import duration
from app.domain.generation import Options
from app.errors import BadInput, Conflict, Unavailable
from app.services.generation import plans
from app.services.generation.orders import drawable, order_drawings, order_images
from app.services.generation.plans import Order
from app.services.generation.progress import Progress, progress
from app.web.admin.access import AsResearcher, AsViewer, FormDep, StudyAccess
from app.web.admin.form_parsing import whole_number
from app.web.admin.pages import FormPage, StudyHead, frame_of, go, head_of, show
from app.web.deps import SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/generate")
GENERATORS = {"procedural": "drawings, made by rules: at once, on any machine", "diffusers": "a text-to-image model"}
MOST_PER_CATEGORY = 100_000
LONGEST_LIST = 100_000
_HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True)
class GeneratePage(FormPage):
    template = "admin/generate.html"
    head: StudyHead
    generators: dict[str, str]
    lists: Sequence[str]
    drawable: Sequence[str]


@dataclass(frozen=True)
class Making:
    """How far the generation has come, in words."""

    progress: Progress

    @property
    def footline(self) -> str:
        now = self.progress
        parts = [f"{now.images_per_second:,.1f} images a second"] if now.images_per_second and not now.is_over else []
        if now.seconds_left is not None:
            parts.append(f"about {duration(now.seconds_left / 60)} to go")
        counts = ((now.rejected, "set aside"), (now.failed, "failed"), (now.cancelled, "taken back"))
        return " · ".join(parts + [f"{count:,} {what}" for count, what in counts if count])


def _page(
    request: Request, access: StudyAccess, values: dict[str, str], problems: dict[str, str] | None = None
) -> GeneratePage:
    return GeneratePage(
        f"Generate · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Overview"),
        generators=GENERATORS,
        lists=names.list_names(),
        drawable=drawable(),
        values=values,
        problems=problems or {},
    )


@router.get("")
def generate_page(request: Request, access: AsResearcher) -> Response:
    return show(
        request, _page(request, access, {"generator": "procedural", "per_category": "10", "prompt": names.PROMPT})
    )


@router.post("")
def plan(request: Request, form: FormDep, access: AsResearcher, session: SessionDep) -> Response:
    problems: dict[str, str] = {}
    try:
        order = _order(form, problems)
        if order is None:
            return show(request, _page(request, access, form, problems), status=422)
        with session.begin_nested():
            made = plans.make_plan(session, slug=access.study.slug, order=order)
    except (BadInput, Conflict, Unavailable) as error:
        return show(request, _page(request, access, form, problems | {"": error.message}), status=error.status)
    return _go(access, f"{counted(made.total, 'item is', 'items are')} planned.")


def _go(access: StudyAccess, notice: str) -> Response:
    return go(f"/admin/studies/{access.study.slug}", access.signed_in, notice)


def _order(form: dict[str, str], problems: dict[str, str]) -> Order | None:
    """None where a field is wrong. Raises what the generator says against it."""
    number = whole_number(form.get("per_category", ""), most=MOST_PER_CATEGORY)
    if number is None:
        problems["per_category"] = f"A number from 1 to {MOST_PER_CATEGORY:,}."
    model, generator = form.get("model", "").strip(), form.get("generator", "")
    if generator not in GENERATORS:
        problems["generator"] = "Choose one of them."
    # A browser names models on the hub; what stands in folders of the server is none of its business.
    if generator == "diffusers" and (not _HUB_ID.fullmatch(model) or Path(model).exists()):
        problems["model"] = "A model’s id on the hub, such as black-forest-labs/FLUX.1-schnell."
    wanted = _categories(form, problems)
    if generator == "diffusers" and not wanted:
        problems.setdefault("categories", "Name at least one category, or choose a list.")
    if problems or number is None:
        return None
    if generator == "procedural":
        return order_drawings(wanted, per_category=number)
    return order_images(
        wanted,
        per_category=number,
        model=model,
        prompt=form.get("prompt", ""),
        articles="articles" in form,
        options=Options(),
    )


def _categories(form: dict[str, str], problems: dict[str, str]) -> list[str]:
    """The lines that were typed after the list that was chosen, each thing once."""
    text, chosen = form.get("categories", "").strip(), form.get("list", "")
    sources = [(chosen, names.class_list(chosen))] if chosen in names.list_names() else []
    try:
        if len(text) > LONGEST_LIST:
            raise BadInput(f"At most {LONGEST_LIST:,} characters.")
        if text:
            sources.append(("your list", names.parse(text.replace("\r\n", "\n").encode(), source="your list")))
    except BadInput as error:
        problems["categories"] = error.message
    return names.merge(sources)[0]


@router.get("/progress")
def progress_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """How far it has come; while something waits, it fetches itself anew."""
    context = {"making": Making(progress(session, access.study)), "head": head_of(access, title="", current="Overview")}
    return templates.TemplateResponse(request, "admin/_generation.html", context)


@router.post("/cancel")
def cancel(access: AsResearcher, session: SessionDep) -> Response:
    items = plans.cancel(session, slug=access.study.slug)
    return _go(access, f"{counted(items, 'item is', 'items are')} taken back.")


@router.post("/resume")
def resume(access: AsResearcher, session: SessionDep) -> Response:
    items = plans.resume(session, slug=access.study.slug)
    return _go(access, f"{counted(items, 'item is', 'items are')} to be made after all.")
