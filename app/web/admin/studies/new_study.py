"""Making a study: from a preset or like another, judged as one types, with what it will take beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.domain import protocol as protocols
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.services.accounts import members
from app.services.accounts.login import SignedIn
from app.services.studies import lifecycle
from app.services.study_lookup import current_protocol
from app.web.admin.access import FormDep, SignedInDep
from app.web.admin.form_parsing import whole_number
from app.web.admin.pages import FormPage, Frame, frame_of, go, show
from app.web.admin.studies.protocol_form import FormGroup, form_groups, values_of
from app.web.admin.studies.protocol_validation import Judged, Outlook, judge
from app.web.deps import SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/new")
ABOUT = {
    "nights-2afc": "After NIGHTS: ten rounds, an item falls at its first dissent. Leaves what everybody sees alike.",
    "bapps-2afc": "After BAPPS: five votes for every item and no filter. Gives vote shares.",
    "nights-jnd": "After NIGHTS: the two pairs of a triplet, flashed in turn. Gives shares of “same”.",
    "bapps-jnd": "After BAPPS: single pairs, flashed one after the other. Gives shares of “same”.",
}
DEFAULT_PRESET = "nights-2afc"
DEFAULT_ITEMS = 1000
MOST_ITEMS = 10_000_000


@dataclass(frozen=True)
class Base:
    """What the form begins with: a preset, or the protocol of the study that the new one is to be like."""

    preset: str
    like: str
    protocol: Protocol


@dataclass(frozen=True)
class NewStudyPage(FormPage):
    template = "admin/new_study.html"
    presets: Mapping[str, str]
    base: Base
    groups: Sequence[FormGroup]
    outlook: Outlook


def _base(session: SessionDep, signed_in: SignedIn, form: Mapping[str, str]) -> Base:
    """Raises NotFound for a study that this person may not see."""
    if slug := form.get("like"):
        study, _ = members.study_as(session, account=signed_in.account, slug=slug, wanted="viewer")
        return Base("", slug, current_protocol(session, study.id))
    preset = form.get("preset", "")
    preset = preset if preset in protocols.preset_names() else DEFAULT_PRESET
    return Base(preset, "", protocols.load(preset))


def _judge(session: SessionDep, form: Mapping[str, str], base: Base) -> Judged:
    problems: dict[str, str] = {}
    try:
        lifecycle.require_free_name(session, form.get("slug", ""))
    except BadInput as error:
        problems["slug"] = error.message
    return judge(form, base=base.protocol, items=_items(form.get("items", ""), problems), problems=problems)


def _items(text: str, problems: dict[str, str]) -> int:
    if (items := whole_number(text, most=MOST_ITEMS)) is not None:
        return items
    problems["items"] = f"A number from 1 to {MOST_ITEMS:,}."
    return 0


def _page(frame: Frame, base: Base, judged: Judged) -> NewStudyPage:
    return NewStudyPage(
        f"A study like {base.like}" if base.like else "New study",
        frame,
        presets={
            name: ABOUT.get(name, "")
            for name in sorted(protocols.preset_names(), key=lambda name: name != DEFAULT_PRESET)
        },
        base=base,
        groups=form_groups(base.protocol.kind),
        outlook=judged.outlook,
        values=judged.values,
        problems=judged.problems,
    )


@router.get("")
def new_study_page(
    request: Request, signed_in: SignedInDep, session: SessionDep, preset: str = DEFAULT_PRESET, like: str = ""
) -> Response:
    base = _base(session, signed_in, {"preset": preset, "like": like})
    values = values_of(base.protocol) | {"items": str(DEFAULT_ITEMS), "slug": ""}
    judged = _judge(session, values, base)
    judged.problems.clear()  # nothing was typed yet
    return show(request, _page(frame_of(request, signed_in), base, judged))


@router.post("/outlook")
def outlook(request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep) -> Response:
    """What the form comes to as it is being typed, and what is wrong with it. Changes nothing."""
    base = _base(session, signed_in, form)
    judged = _judge(session, form, base)
    context = {"judged": judged, "groups": form_groups(base.protocol.kind), "others": ("slug", "items")}
    return templates.TemplateResponse(request, "admin/_outlook_update.html", context)


@router.post("")
def make_study(request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep) -> Response:
    base = _base(session, signed_in, form)
    judged = _judge(session, form, base)
    protocol = judged.outlook.protocol
    if judged.problems or protocol is None:
        return show(request, _page(frame_of(request, signed_in), base, judged), status=422)
    study = lifecycle.create(session, slug=form["slug"], protocol=protocol)
    members.join(session, study=study, account=signed_in.account, role="owner")
    return go(f"/admin/studies/{study.slug}", signed_in, "The study is made. Now bring in its images.")
