"""The list of studies, one study live, and steering it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from app.domain.counted import counted
from app.domain.durations import duration
from app.domain.forecast import Forecast
from app.domain.money import Balance, in_words
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict, Unavailable
from app.models.studies import Study
from app.services import money
from app.services.generation.progress import progress
from app.services.items import import_requests, uploads
from app.services.studies import activity, lifecycle, overview
from app.services.studies.alerts import Alert, alerts
from app.services.studies.forecasts import forecast_from
from app.services.studies.overview import StudyGlance
from app.services.studies.status import RoundStatus, StudyStatus, study_status
from app.services.study_lookup import current_protocol
from app.web.addresses import is_link_certain, public_url
from app.web.admin import downloads
from app.web.admin.access import AsResearcher, AsViewer, SignedInDep, StudyAccess, UploadDep
from app.web.admin.assignments import recruiting
from app.web.admin.pages import AdminPage, StudyPage, frame_of, go, head_of, show
from app.web.admin.results.static_charts import Sketch, shares_sketch, survivor_sketch, votes_sketch
from app.web.admin.studies import charts
from app.web.admin.studies.generating import Making
from app.web.admin.studies.importing import Importing, importing_of
from app.web.deps import ResourcesDep, SessionDep
from app.web.pages import render, templates
from app.web.participant import consent_page_of

PREVIEW = "A preview: this is what participants read. Here they say whether they want to take part."

router = APIRouter()
Step = Literal["open", "pause", "close", "archive", "restore"]
STEP_WORDS: dict[Step, str] = {
    "open": "Open", "pause": "Pause", "close": "Close", "archive": "Archive", "restore": "Bring back",
}  # fmt: skip
WhichStudies = Literal["current", "archived"]


@dataclass(frozen=True)
class StudiesPage(AdminPage):
    template = "admin/studies.html"
    studies: Sequence[StudyGlance]
    which: WhichStudies


@dataclass(frozen=True)
class Live:
    """All that the study's page shows and fetches anew by itself. `balance` is that of a study that recruits."""

    status: StudyStatus
    protocol: Protocol
    expected: Forecast
    alerts: Sequence[Alert]
    balance: Balance | None

    @property
    def rewards(self) -> int:
        """Of completed sittings, in minor units: all there is to say where no ledger is kept."""
        return self.status.assignments_completed * self.protocol.pay.reward

    @property
    def to_go(self) -> str:
        left = self.status.minutes_left
        return "–" if left is None else duration(left)

    def money(self, minor_units: float) -> str:
        return in_words(minor_units, self.protocol.pay.currency)


@dataclass(frozen=True)
class StudyLivePage(StudyPage):
    """`drawn` are the survivors or, where nothing is dropped, what people see."""

    template = "admin/live.html"
    live: Live
    steps: Sequence[Step]
    step_words: Mapping[Step, str]
    recruiting: Mapping[recruiting.Act, str]
    link: str
    is_link_certain: bool
    making: Making | None
    importing: Importing | None
    import_problem: str | None
    drawn: Sketch
    shares_of: str
    votes: Sketch
    largest_upload: str = f"{uploads.LARGEST // 2**20:,} MB"


@dataclass(frozen=True)
class StepPage(StudyPage):
    """Asks before a step whose consequence it names."""

    template = "admin/step.html"
    step: Step
    consequences: Sequence[str]

    @property
    def words(self) -> str:
        return STEP_WORDS[self.step]


@router.get("")
def studies_page(
    request: Request, signed_in: SignedInDep, session: SessionDep, which: WhichStudies = "current"
) -> Response:
    glances = overview.glances(session, account=signed_in.account, archived=which == "archived")
    return show(request, StudiesPage("Studies", frame_of(request, signed_in), studies=glances, which=which))


def live_of(session: SessionDep, study: Study) -> Live:
    protocol = current_protocol(session, study.id)
    status = study_status(session, study, protocol=protocol)
    balance = money.balance_if_any(session, study.id)
    found = alerts(session, study=study, status=status, protocol=protocol, balance=balance)
    return Live(status, protocol, forecast_from(status, protocol), found, balance)


@router.get("/studies/{slug}")
def study_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    return show(request, live_page(request, access, session))


def live_page(
    request: Request, access: StudyAccess, session: SessionDep, *, import_problem: str | None = None
) -> StudyLivePage:
    live = live_of(session, access.study)
    return StudyLivePage(
        access.study.slug,
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Overview"),
        live=live,
        making=_making(session, access.study),
        importing=importing_of(session, access.study),
        steps=steps_of(access.study),
        step_words=STEP_WORDS,
        recruiting=recruiting.possible(session, access, live.protocol),
        is_link_certain=is_link_certain(request),
        link=f"{public_url(request)}/studies/{access.study.slug}",
        import_problem=import_problem,
        drawn=_drawn(session, access.study, live),
        shares_of=charts.SHARES_OF[live.protocol.kind],
        votes=votes_sketch(activity.votes_by_minute(session, access.study)),
    )


def _drawn(session: SessionDep, study: Study, live: Live) -> Sketch:
    return survivor_sketch(live.status, live.expected) if live.protocol.has_filter else _shares(session, study)


def _shares(session: SessionDep, study: Study) -> Sketch:
    return shares_sketch(activity.items_by_share(session, study))


def _making(session: SessionDep, study: Study) -> Making | None:
    """What is generated for a draft, if anything is."""
    making = Making(progress(session, study)) if study.state == "draft" else None
    return making if making and making.progress.items else None


@router.get("/studies/{slug}/preview")
def preview(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """What participants read, on the very page they read it."""
    protocol = current_protocol(session, access.study.id)
    return render(request, consent_page_of(access.study.slug, protocol, fields={}, preview=PREVIEW))


@router.post("/studies/{slug}/import")
def import_archive(
    request: Request, access: AsResearcher, upload: UploadDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    """Keep a ZIP file for a worker, which imports it."""
    study = access.study
    try:
        with session.begin_nested():
            import_requests.request_upload(
                session, resources.uploads, study=study, name=upload.name, archive=upload.file,
                normalise=upload.normalise,
            )  # fmt: skip
    except (BadInput, Conflict, Unavailable) as error:
        return show(request, live_page(request, access, session, import_problem=error.message), status=error.status)
    return go(f"/admin/studies/{study.slug}", access.signed_in)


@router.get("/studies/{slug}/live")
def live_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """The part of the study's page that moves."""
    context = {"live": live_of(session, access.study), "head": head_of(access, title="", current="Overview")}
    return templates.TemplateResponse(request, "admin/_live_update.html", context)


def _status_and_forecast(session: SessionDep, study: Study) -> tuple[StudyStatus, Forecast]:
    """What happened, and what is to be expected."""
    protocol = current_protocol(session, study.id)
    status = study_status(session, study, protocol=protocol)
    return status, forecast_from(status, protocol)


@router.get("/studies/{slug}/charts/survivors.json")
def survivors_chart(access: AsViewer, session: SessionDep) -> dict[str, Any]:
    return charts.survivor_curve(*_status_and_forecast(session, access.study))


@router.get("/studies/{slug}/charts/shares.json")
def shares_chart(access: AsViewer, session: SessionDep) -> dict[str, Any]:
    kind = current_protocol(session, access.study.id).kind
    return charts.items_by_share(activity.items_by_share(session, access.study), kind)


@router.get("/studies/{slug}/charts/votes.json")
def votes_chart(access: AsViewer, session: SessionDep) -> dict[str, Any]:
    return charts.votes_by_minute(activity.votes_by_minute(session, access.study))


@router.get("/studies/{slug}/charts/survivors.svg")
def survivors_sketch(access: AsViewer, session: SessionDep) -> Response:
    return Response(survivor_sketch(*_status_and_forecast(session, access.study)).svg(), media_type="image/svg+xml")


@router.get("/studies/{slug}/charts/shares.svg")
def shares_sketched(access: AsViewer, session: SessionDep) -> Response:
    return Response(_shares(session, access.study).svg(), media_type="image/svg+xml")


@router.get("/studies/{slug}/charts/votes.svg")
def votes_sketched(access: AsViewer, session: SessionDep) -> Response:
    minutes = activity.votes_by_minute(session, access.study)
    return Response(votes_sketch(minutes).svg(), media_type="image/svg+xml")


@router.get("/studies/{slug}/charts/rounds.csv")
def rounds_csv(access: AsViewer, session: SessionDep) -> Response:
    """What the charts of the rounds show, as numbers."""
    columns = [field.name for field in fields(RoundStatus)]
    rows = map(asdict, study_status(session, access.study).by_round)
    return downloads.table(columns, rows, f"{access.study.slug}-rounds.csv")


def steps_of(study: Study) -> Sequence[Step]:
    """What may be done next; the first is what one most likely wants."""
    if study.archived_at is not None:
        return ("restore",)
    match study.state:
        case "draft":
            return ("open", "archive")
        case "open":
            return ("pause", "close") if study.finished_at is None else ("close",)
        case "paused":
            return ("open", "close")
    return ("archive",)


@router.get("/studies/{slug}/steps/{step}")
def step_page(request: Request, step: Step, access: AsResearcher, session: SessionDep) -> Response:
    if step not in steps_of(access.study):
        raise Conflict(f"The study {access.study.slug!r} is {access.study.state}.")
    page = StepPage(
        f"{STEP_WORDS[step]} {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current=""),
        step=step,
        consequences=consequences(session, access, step),
    )
    return show(request, page)


@router.post("/studies/{slug}/steps/{step}")
def take_step(step: Step, access: AsResearcher, session: SessionDep) -> Response:
    slug = access.study.slug
    match step:
        case "open":
            lifecycle.open_study(session, slug=slug)
            notice = "The study is open: participants can take part now."
        case "pause":
            lifecycle.pause(session, slug=slug)
            notice = "The study is paused: nobody new can start."
        case "close":
            lifecycle.close(session, slug=slug)
            notice = "The study is closed."
        case "archive":
            lifecycle.archive(session, slug=slug)
            notice = "The study is archived: it is among the archived studies."
        case "restore":
            lifecycle.restore(session, slug=slug)
            notice = "The study is back among the others."
    return go(f"/admin/studies/{slug}", access.signed_in, notice)


def consequences(session: SessionDep, access: StudyAccess, step: Step) -> list[str]:
    status = study_status(session, access.study)
    protocol = current_protocol(session, access.study.id)
    under_way = "Whoever is under way may finish, and what they answer counts."
    if status.participants_now:
        under_way += f" Now that is {status.participants_now:,}."
    match step:
        case "open" if access.study.state == "draft":
            sittings = -(-status.items * protocol.votes_per_round // protocol.assignment.trials)
            return [
                f"{counted(status.items, 'item is', 'items are')} fixed: none can be added afterwards.",
                "Practice and sentinel trials are made from its images.",
                f"Whoever has the link can take part. Round 1 takes about {counted(sittings, 'sitting')} of "
                f"{counted(protocol.assignment.minutes, 'minute')}.",
            ]
        case "open":
            return ["Whoever has the link can take part again."]
        case "pause":
            return ["Nobody new can start until you open it again.", under_way]
        case "archive":
            return ["It leaves the list of studies, and cannot be changed until you bring it back.", "Nothing is lost."]
        case "restore":
            return ["It comes back into the list of studies, as it was."]
    agreeing = counted(protocol.min_votes, "agreeing vote" if protocol.has_filter else "vote")
    return [
        "Nobody new can start, and it cannot be opened again.",
        under_way,
        f"Items stay as they are: those with {agreeing} or more are kept, the others are short of votes.",
    ]
