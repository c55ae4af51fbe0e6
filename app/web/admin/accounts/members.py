"""Who belongs to a study, and the log of what they changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.domain.roles import ROLES, Role
from app.errors import BadInput
from app.models.accounts import AuditEntry, MemberInvitation
from app.services import audit
from app.services.accounts import members
from app.services.accounts.members import Member
from app.web.addresses import is_link_certain, public_url
from app.web.admin.access import AsOwner, AsViewer, FormDep, StudyAccess
from app.web.admin.pages import FormPage, StudyHead, StudyPage, frame_of, go, head_of, show
from app.web.deps import SessionDep
from app.web.numbers import LARGEST_ID, BeforeId, RowId

router = APIRouter(prefix="/studies/{slug}")
PER_PAGE = 50


@dataclass(frozen=True)
class PeoplePage(FormPage):
    """`link` is the invitation just made: it is shown once, as only its hash is stored."""

    template = "admin/people.html"
    head: StudyHead
    members: Sequence[Member]
    invitations: Sequence[MemberInvitation]
    link: str | None
    is_link_certain: bool
    email: str
    roles: tuple[Role, ...] = ROLES


@dataclass(frozen=True)
class LogPage(StudyPage):
    """`older` is the address of the next page."""

    template = "admin/log.html"
    entries: Sequence[AuditEntry]
    older: str | None


def _people(
    request: Request,
    session: SessionDep,
    access: StudyAccess,
    *,
    link: str | None = None,
    values: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> PeoplePage:
    return PeoplePage(
        f"People · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="People"),
        members=members.members(session, study=access.study),
        invitations=members.open_invitations(session, study=access.study),
        link=link,
        is_link_certain=is_link_certain(request),
        email=access.signed_in.account.email,
        values=values or {},
        problems=problems or {},
    )


@router.get("/people")
def people_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    return show(request, _people(request, session, access))


@router.post("/people/invitations")
def invite(request: Request, form: FormDep, access: AsOwner, session: SessionDep) -> Response:
    email, role = form.get("email", ""), form.get("role", "")
    try:
        token = members.invite(session, study=access.study, email=email, role=role)
    except BadInput as error:
        values = {"email": email, "role": role}
        return show(
            request, _people(request, session, access, values=values, problems=error.details["fields"]), status=422
        )
    session.flush()
    link = f"{public_url(request)}/admin/invitations/{token}"
    return show(request, _people(request, session, access, link=link))


@router.post("/people/invitations/{invitation_id}/revoke")
def revoke(invitation_id: RowId, access: AsOwner, session: SessionDep) -> Response:
    members.revoke(session, study=access.study, invitation_id=invitation_id)
    return go(f"/admin/studies/{access.study.slug}/people", access.signed_in, "The invitation is taken back.")


@router.post("/people/role")
def change_role(form: FormDep, access: AsOwner, session: SessionDep) -> Response:
    email = form.get("email", "")
    members.change_role(session, study=access.study, email=email, role=form.get("role", ""))
    notice = f"{email} is now {form.get('role')} of this study."
    return go(f"/admin/studies/{access.study.slug}/people", access.signed_in, notice)


@router.post("/people/remove")
def remove(form: FormDep, access: AsOwner, session: SessionDep) -> Response:
    email = form.get("email", "")
    members.remove(session, study=access.study, email=email)
    is_self = email == access.signed_in.account.email
    url = "/admin" if is_self else f"/admin/studies/{access.study.slug}/people"
    return go(url, access.signed_in, f"{email} no longer belongs to {access.study.slug}.")


@router.get("/log")
def log_page(request: Request, access: AsViewer, session: SessionDep, before: BeforeId = LARGEST_ID) -> Response:
    entries = audit.entries(session, study_id=access.study.id, before=before, limit=PER_PAGE + 1)
    shown = entries[:PER_PAGE]
    more = len(entries) > PER_PAGE
    page = LogPage(
        f"Log · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Log"),
        entries=shown,
        older=f"?before={shown[-1].id}" if more else None,
    )
    return show(request, page)
