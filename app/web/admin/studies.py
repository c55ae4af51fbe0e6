"""The list of studies, one study live, and steering it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from app.domain.durations import duration
from app.domain.forecast import Forecast
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict
from app.models.studies import Study
from app.services import activity, audit, overview, studies, uploads
from app.services.alerts import Alert, alerts
from app.services.forecasts import forecast_from
from app.services.overview import StudyGlance
from app.services.protocols import current_protocol
from app.services.status import RoundStatus, StudyStatus, study_status
from app.web.admin import charts
from app.web.admin.access import AsResearcher, AsViewer, SignedInDep, StudyAccess, UploadDep
from app.web.admin.pages import AdminPage, StudyPage, frame_of, go, head_of, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.pages import render, templates
from app.web.participant import consent_page_of

PREVIEW = "A preview: this is what participants read. Here they say whether they want to take part."

router = APIRouter()
Step = Literal["open", "pause", "close"]


@dataclass(frozen=True)
class StudiesPage(AdminPage):
    template = "admin/studies.html"
    studies: Sequence[StudyGlance]


@dataclass(frozen=True)
class Live:
    """All that the study's page shows and fetches anew by itself."""

    status: StudyStatus
    protocol: Protocol
    alerts: Sequence[Alert]

    @property
    def spent(self) -> int:
        """Rewards of completed sittings, in minor units."""
        return self.status.assignments_completed * self.protocol.pay.reward

    @property
    def to_go(self) -> str:
        left = self.status.minutes_left
        return "–" if left is None else duration(left)

    def money(self, minor_units: float) -> str:
        return f"{minor_units / 100:,.2f} {self.protocol.pay.currency}"


@dataclass(frozen=True)
class StudyLivePage(StudyPage):
    template = "admin/live.html"
    live: Live
    steps: Sequence[Step]
    link: str
    expected: Forecast
    import_problem: str | None
    largest_upload: str = f"{uploads.LARGEST // 2**20:,} MB"


@dataclass(frozen=True)
class StepPage(StudyPage):
    """Asks before a step whose consequence it names."""

    template = "admin/step.html"
    step: Step
    consequences: Sequence[str]


@router.get("")
def studies_page(request: Request, signed_in: SignedInDep, session: SessionDep) -> Response:
    glances = overview.glances(session, account=signed_in.account)
    return show(request, StudiesPage("Studies", frame_of(request, signed_in), studies=glances))


def live_of(session: SessionDep, study: Study) -> Live:
    protocol = current_protocol(session, study.id)
    status = study_status(session, study)
    return Live(status, protocol, alerts(session, study=study, status=status, protocol=protocol))


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
        expected=forecast_from(live.status, live.protocol),
        steps=steps_of(access.study),
        link=str(request.url.replace(path=f"/studies/{access.study.slug}", query="")),
        import_problem=import_problem,
    )


@router.get("/studies/{slug}/preview")
def preview(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """What participants read, on the very page they read it."""
    protocol = current_protocol(session, access.study.id)
    return render(request, consent_page_of(access.study.slug, protocol, fields={}, preview=PREVIEW))


@router.post("/studies/{slug}/import", max_body_size=uploads.LARGEST)
def import_items(
    request: Request, access: AsResearcher, upload: UploadDep, session: SessionDep, resources: ResourcesDep
) -> Response:
    study = access.study
    try:
        result = uploads.import_archive(
            resources.sessions, resources.storage, slug=study.slug, archive=upload.file, normalise=upload.normalise
        )
    except (BadInput, Conflict) as error:
        return show(request, live_page(request, access, session, import_problem=error.message), status=error.status)
    audit.record(session, "imported items", study=study, subject=upload.name, items=result.items)
    return go(f"/admin/studies/{study.slug}", access.signed_in, f"{result.items:,} items are in the pool.")


@router.get("/studies/{slug}/live")
def live_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """The part of the study's page that moves."""
    context = {"live": live_of(session, access.study), "head": head_of(access, title="", current="Overview")}
    return templates.TemplateResponse(request, "admin/_live_update.html", context)


@router.get("/studies/{slug}/charts/survivors.json")
def survivors_chart(access: AsViewer, session: SessionDep) -> dict[str, Any]:
    status = study_status(session, access.study)
    expected = forecast_from(status, current_protocol(session, access.study.id))
    return charts.survivor_curve(status, expected)


@router.get("/studies/{slug}/charts/votes.json")
def votes_chart(access: AsViewer, session: SessionDep) -> dict[str, Any]:
    return charts.votes_by_minute(activity.votes_by_minute(session, access.study))


@router.get("/studies/{slug}/charts/rounds.csv")
def rounds_csv(access: AsViewer, session: SessionDep) -> Response:
    """What the charts of the rounds show, as numbers."""
    rows = study_status(session, access.study).by_round
    columns = [field.name for field in fields(RoundStatus)]
    lines = [",".join(columns)] + [",".join(str(getattr(row, name) or "") for name in columns) for row in rows]
    return Response(
        "\n".join(lines) + "\n",
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{access.study.slug}-rounds.csv"'},
    )


def steps_of(study: Study) -> Sequence[Step]:
    """What may be done next; the first is what one most likely wants."""
    match study.state:
        case "draft":
            return ("open",)
        case "open":
            return ("pause", "close")
        case "paused":
            return ("open", "close")
    return ()


@router.get("/studies/{slug}/steps/{step}")
def step_page(request: Request, step: Step, access: AsResearcher, session: SessionDep) -> Response:
    if step not in steps_of(access.study):
        raise Conflict(f"The study {access.study.slug!r} is {access.study.state}.")
    page = StepPage(
        f"{step.capitalize()} {access.study.slug}",
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
            studies.open_study(session, slug=slug)
            notice = "The study is open: participants can take part now."
        case "pause":
            studies.pause(session, slug=slug)
            notice = "The study is paused: nobody new can start."
        case "close":
            studies.close(session, slug=slug)
            notice = "The study is closed."
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
                f"Its {status.items:,} items are fixed: none can be added afterwards.",
                "Practice and sentinel trials are made from its images.",
                f"Whoever has the link can take part. Round 1 takes about {sittings:,} sittings of "
                f"{protocol.assignment.minutes} minutes.",
            ]
        case "open":
            return ["Whoever has the link can take part again."]
        case "pause":
            return ["Nobody new can start until you open it again.", under_way]
    short = status.survivors if status.status != "finished" else 0
    return [
        "Nobody new can start, and it cannot be opened again.",
        under_way,
        f"{short:,} items stay as they are: those with {protocol.min_votes} agreeing votes are kept, the others "
        "count as short of votes.",
    ]
