"""The installation, for its owners."""

from fastapi import APIRouter

from app.services import system
from app.services.accounts import members
from app.services.system import SystemStatus
from app.web.api.access import NOT_NOW, Id, Reader, Steerer
from app.web.deps import ResourcesDep, SessionDep
from app.web.json_bodies import StorableJSONRoute

router = APIRouter(prefix="/system", route_class=StorableJSONRoute)


@router.get("")
def read_system(bearer: Reader, session: SessionDep, resources: ResourcesDep) -> SystemStatus:
    """Workers, queues, failed jobs, database and disk."""
    members.require_site_owner(bearer.account)
    return system.system_status(session, resources.settings)


@router.post("/jobs/{job_id}/retry", status_code=204, responses=NOT_NOW)
def retry_job(job_id: Id, bearer: Steerer, session: SessionDep) -> None:
    """Put a failed job back into its queue."""
    members.require_site_owner(bearer.account)
    system.retry_job(session, job_id=job_id)
