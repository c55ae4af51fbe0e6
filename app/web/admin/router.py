"""The researcher's dashboard, all of it under /admin and behind the same guard."""

from fastapi import APIRouter, Depends

from app.web.admin import (
    account,
    assignments,
    deciding,
    edit_protocol,
    exports,
    generating,
    importing,
    items,
    members,
    metrics,
    new_study,
    recruiting,
    reports,
    signing_in,
    studies,
    system,
)
from app.web.admin.access import PATH, require_own_form

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_own_form)])
for part in (
    signing_in,
    account,
    new_study,
    members,
    items,
    deciding,
    assignments,
    metrics,
    exports,
    reports,
    edit_protocol,
    generating,
    importing,
    recruiting,
    studies,
    system,
):
    router.include_router(part.router, prefix=PATH)
