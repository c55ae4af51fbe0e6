"""Importing a folder of the server's into a draft: choosing it, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.domain.protocol import Kind
from app.errors import BadInput, Conflict, LookalikeError, Unavailable
from app.models.studies import UNDER_WAY, ImportRequest, Study
from app.queue import DEFAULT
from app.services import workers
from app.services.items import import_requests
from app.services.items.import_sources import MOST_SHOWN, ImportSource, Listing
from app.services.items.item_files import the_table
from app.services.items.items import require_draft
from app.services.study_lookup import current_protocol
from app.web.admin.access import AsResearcher, AsViewer, FormDep, StudyAccess
from app.web.admin.pages import StudyPage, frame_of, go, head_of, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/imports")


@dataclass(frozen=True)
class Importing:
    """The latest import of a folder; `has_worker` says whether anybody is there to do it."""

    request: ImportRequest
    has_worker: bool

    @property
    def is_under_way(self) -> bool:
        return self.request.state in UNDER_WAY

    @property
    def in_pool(self) -> int:
        """Items of a folder whose import is done."""
        return (self.request.items or 0) + (self.request.already_there or 0)


@dataclass(frozen=True)
class Crumb:
    name: str
    url: str


@dataclass(frozen=True)
class ImportsPage(StudyPage):
    """What there is to import. `place` is where people put it, `folder` the path of the one that is looked at, `""` at
    the top, and `crumbs` lead to it; `table` is its table, if it can be imported."""

    template = "admin/imports.html"
    kind: Kind
    place: str
    folder: str
    crumbs: Sequence[Crumb]
    listing: Listing
    table: str | None
    problem: str | None
    most_shown: int = MOST_SHOWN

    def url_of(self, name: str) -> str:
        """The page of a folder in this one."""
        return _url(self.head.url, f"{self.folder}/{name}" if self.folder else name)


def importing_of(session: Session, study: Study) -> Importing | None:
    """What is, or was last, imported into a draft."""
    latest = import_requests.of_study(session, study, limit=1) if study.state == "draft" else []
    if not latest:
        return None
    return Importing(latest[0], latest[0].state in UNDER_WAY and bool(workers.present(session, queue=DEFAULT)))


def _url(study: str, folder: str) -> str:
    return f"{study}/imports?{urlencode({'folder': folder})}" if folder else f"{study}/imports"


def _page(
    request: Request,
    access: StudyAccess,
    kind: Kind,
    place: ImportSource,
    folder: str,
    error: LookalikeError | None = None,
) -> Response:
    """The folder's page; where there is none, the top with what is wrong."""
    listing, table = Listing([], []), None
    try:
        listing = place.look(folder)
        if folder and listing.tables:
            table = the_table(listing.tables, place=f"The folder {folder!r}")
    except (BadInput, Unavailable) as trouble:
        error = error or trouble
        if folder and isinstance(trouble, BadInput) and not listing.tables:
            return _page(request, access, kind, place, "", error)
    head = head_of(access, title=access.study.slug, current="Overview")
    parts = folder.split("/") if folder else []
    page = ImportsPage(
        f"Import · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head,
        kind=kind,
        place=str(place),
        folder=folder,
        crumbs=[Crumb(part, _url(head.url, "/".join(parts[: place + 1]))) for place, part in enumerate(parts)],
        listing=listing,
        table=table,
        problem=error.message if error else None,
    )
    return show(request, page, status=error.status if error else 200)


@router.get("")
def imports_page(
    request: Request, access: AsResearcher, session: SessionDep, resources: ResourcesDep, folder: str = ""
) -> Response:
    require_draft(access.study)
    kind = current_protocol(session, access.study.id).kind
    return _page(request, access, kind, resources.imports, folder)


@router.post("")
def ask(
    request: Request, form: FormDep, access: AsResearcher, session: SessionDep, resources: ResourcesDep
) -> Response:
    source = form.get("source", "")
    try:
        with session.begin_nested():
            import_requests.request_import(
                session, resources.imports, study=access.study, source=source, normalise="normalise" in form
            )
    except (BadInput, Conflict, Unavailable) as error:
        kind = current_protocol(session, access.study.id).kind
        return _page(request, access, kind, resources.imports, source, error)
    return go(f"/admin/studies/{access.study.slug}", access.signed_in)


@router.get("/progress")
def progress_fragment(request: Request, access: AsViewer, session: SessionDep) -> Response:
    """How far it has come; once it is over, the whole page is fetched anew, as it has the items then."""
    importing = importing_of(session, access.study)
    if importing is None or not importing.is_under_way:
        return Response(headers={"HX-Refresh": "true"})
    context = {"importing": importing, "head": head_of(access, title="", current="Overview")}
    return templates.TemplateResponse(request, "admin/_importing.html", context)


@router.post("/stop")
def stop(access: AsResearcher, session: SessionDep) -> Response:
    import_requests.stop(session, study=access.study)
    return go(f"/admin/studies/{access.study.slug}", access.signed_in, "The import is stopped.")
