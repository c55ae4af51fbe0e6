"""The installation, for its owners: workers, queues, failed jobs, database; and how programs use it all."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.services import system
from app.services.system import SystemStatus
from app.web.addresses import public_url
from app.web.admin.access import SignedInDep, SiteOwnerDep
from app.web.admin.pages import AdminPage, frame_of, go, show
from app.web.deps import ResourcesDep, SessionDep
from app.web.numbers import RowId

router = APIRouter()


@dataclass(frozen=True)
class SystemPage(AdminPage):
    template = "admin/system.html"
    system: SystemStatus

    def size(self, count: float) -> str:
        """Bytes in words."""
        for unit in ("B", "kB", "MB", "GB"):
            if count < 1000:
                return f"{count:,.0f} {unit}"
            count /= 1000
        return f"{count:,.1f} TB"


@dataclass(frozen=True)
class ApiPage(AdminPage):
    """`base` is where the API is."""

    template = "admin/api.html"
    base: str


@router.get("/system")
def system_page(request: Request, owner: SiteOwnerDep, session: SessionDep, resources: ResourcesDep) -> Response:
    status = system.system_status(session, resources.settings)
    return show(request, SystemPage("System", frame_of(request, owner), system=status))


@router.post("/system/jobs/{job_id}/retry")
def retry_job(job_id: RowId, owner: SiteOwnerDep, session: SessionDep) -> Response:
    system.retry_job(session, job_id=job_id)
    return go("/admin/system", owner, f"Job {job_id} is back in its queue.")


@router.get("/api")
def api_page(request: Request, signed_in: SignedInDep) -> Response:
    base = f"{public_url(request)}/api/v1"
    return show(request, ApiPage("API", frame_of(request, signed_in), base=base))
