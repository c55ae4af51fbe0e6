"""The researcher's dashboard, all of it under /admin and behind the same guard."""

from fastapi import APIRouter, Depends

from app.web.admin import system
from app.web.admin.access import PATH, require_own_form
from app.web.admin.accounts import account, login, members
from app.web.admin.assignments import assignments, recruiting, submission_review
from app.web.admin.results import exports, metrics, reports
from app.web.admin.studies import edit_protocol, generating, importing, items, new_study, studies

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_own_form)])
for part in (
    login,
    account,
    new_study,
    members,
    items,
    submission_review,
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
