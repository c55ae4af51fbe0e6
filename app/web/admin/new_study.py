"""Making a study: from a preset, judged as one types, with what it will take beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.domain import protocol as protocols
from app.domain.forecast import Forecast, forecast
from app.domain.protocol import Protocol
from app.errors import BadInput
from app.services import members, studies
from app.web.admin.access import FormDep, SignedInDep
from app.web.admin.pages import FormPage, Frame, frame_of, go, show
from app.web.admin.protocol_form import FormGroup, document_of, form_groups, values_of
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
class Outlook:
    """What the protocol as typed will take; `protocol` is None while it is not valid."""

    protocol: Protocol | None
    expected: Forecast | None
    items: int

    @property
    def hourly(self) -> float:
        """Reward in major units per hour, if the sitting takes as long as expected."""
        assert self.protocol is not None
        return self.protocol.pay.reward * 60 / self.protocol.assignment.minutes / 100

    @property
    def is_below_floor(self) -> bool:
        return self.protocol is not None and self.hourly * 100 < self.protocol.pay.hourly_floor

    @property
    def is_over_budget(self) -> bool:
        return (
            self.protocol is not None
            and self.expected is not None
            and self.expected.total.cost.mean > self.protocol.pay.budget
        )


@dataclass(frozen=True)
class NewStudyPage(FormPage):
    template = "admin/new_study.html"
    presets: Mapping[str, str]
    preset: str
    groups: Sequence[FormGroup]
    outlook: Outlook


@dataclass(frozen=True)
class Judged:
    """A form that was filled in: what it comes to, and what is wrong with it by field."""

    preset: str
    values: dict[str, str]
    problems: dict[str, str]
    outlook: Outlook


def judge(session: SessionDep, form: Mapping[str, str]) -> Judged:
    preset = form.get("preset", "")
    preset = preset if preset in protocols.preset_names() else DEFAULT_PRESET
    problems: dict[str, str] = {}
    try:
        studies.require_free_name(session, form.get("slug", ""))
    except BadInput as error:
        problems["slug"] = error.message
    items = _items(form.get("items", ""), problems)
    protocol = None
    try:
        protocol = protocols.parse(document_of(form, protocols.load(preset)))
    except BadInput as error:
        problems |= _by_form_field(error.details["fields"])
    expected = forecast(protocol, items=items) if protocol and items else None
    return Judged(preset, dict(form), problems, Outlook(protocol, expected, items))


def _items(text: str, problems: dict[str, str]) -> int:
    if text.strip().isdecimal() and 0 < int(text[:9]) <= MOST_ITEMS:
        return int(text[:9])
    problems["items"] = f"A number from 1 to {MOST_ITEMS:,}."
    return 0


def _by_form_field(problems: Mapping[str, str]) -> dict[str, str]:
    """Complaints about a section as a whole stand at the head of the form."""
    names = {field.name for group in form_groups() for field in group.fields}
    by_field = {name: problem for name, problem in problems.items() if name in names}
    others = [problem for name, problem in problems.items() if name not in names]
    return by_field | ({"": " ".join(f"{other[:1].upper()}{other[1:]}." for other in others)} if others else {})


def _page(frame: Frame, judged: Judged) -> NewStudyPage:
    return NewStudyPage(
        "New study",
        frame,
        presets={
            name: ABOUT.get(name, "")
            for name in sorted(protocols.preset_names(), key=lambda name: name != DEFAULT_PRESET)
        },
        preset=judged.preset,
        groups=form_groups(),
        outlook=judged.outlook,
        values=judged.values,
        problems=judged.problems,
    )


@router.get("")
def new_study_page(
    request: Request, signed_in: SignedInDep, session: SessionDep, preset: str = DEFAULT_PRESET
) -> Response:
    chosen = preset if preset in protocols.preset_names() else DEFAULT_PRESET
    values = values_of(protocols.load(chosen)) | {"preset": chosen, "items": str(DEFAULT_ITEMS), "slug": ""}
    judged = judge(session, values)
    judged.problems.clear()  # nothing was typed yet
    return show(request, _page(frame_of(request, signed_in), judged))


@router.post("/outlook")
def outlook(request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep) -> Response:  # noqa: ARG001
    """What the form comes to as it is being typed, and what is wrong with it. Changes nothing."""
    context = {"judged": judge(session, form), "groups": form_groups()}
    return templates.TemplateResponse(request, "admin/_outlook_update.html", context)


@router.post("")
def make_study(request: Request, form: FormDep, signed_in: SignedInDep, session: SessionDep) -> Response:
    judged = judge(session, form)
    protocol = judged.outlook.protocol
    if judged.problems or protocol is None:
        return show(request, _page(frame_of(request, signed_in), judged), status=422)
    study = studies.create(session, slug=form["slug"], protocol=protocol)
    members.join(session, study=study, account=signed_in.account, role="owner")
    return go(f"/admin/studies/{study.slug}", signed_in, "The study is made. Now bring in its images.")
