"""The researcher's JSON API: the same services as the dashboard's, behind API tokens."""

from fastapi import APIRouter

from app.web.api import assignments, exports, imports, items, reports, studies, system
from app.web.api.access import PROBLEMS

router = APIRouter(prefix="/api/v1", tags=["researcher"], responses=PROBLEMS)
for part in (items, imports, assignments, exports, reports, studies, system):
    router.include_router(part.router)
