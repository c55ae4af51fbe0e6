"""A study's protocol: what it says, and changing it without losing what somebody else changed meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.domain.protocol import Protocol
from app.errors import BadInput, Forbidden, Stale
from app.services.studies import revisions
from app.services.studies.status import study_status
from app.services.study_lookup import current_version, protocol_version
from app.web.admin.access import AsResearcher, AsViewer, FormDep, StudyAccess
from app.web.admin.form_parsing import whole_number
from app.web.admin.pages import FormPage, StudyHead, frame_of, go, head_of, show
from app.web.admin.studies.protocol_form import FormGroup, form_groups, is_one_of, values_of
from app.web.admin.studies.protocol_validation import Judged, Outlook, by_form_field, judge
from app.web.deps import SessionDep
from app.web.pages import templates

router = APIRouter(prefix="/studies/{slug}/protocol")
MOST_VERSIONS = 2**31 - 1


@dataclass(frozen=True)
class Difference:
    """A field that somebody else changed meanwhile. `typed` is None where this person left it as it was."""

    label: str
    before: str
    theirs: str
    typed: str | None


@dataclass(frozen=True)
class ProtocolPage(FormPage):
    """`version` is the one that the form's values are a change of."""

    template = "admin/protocol.html"
    head: StudyHead
    version: int
    groups: Sequence[FormGroup]
    outlook: Outlook
    differences: Sequence[Difference] = ()

    @property
    def has_fixed(self) -> bool:
        return any(field.is_fixed for group in self.groups for field in group.fields)


@dataclass(frozen=True)
class _Stand:
    """The study's protocol as it is now."""

    version: int
    protocol: Protocol
    fixed: Sequence[str]
    items: int


def _stand(session: SessionDep, access: StudyAccess) -> _Stand:
    study = access.study
    version = current_version(session, study.id)
    return _Stand(
        version,
        protocol_version(session, study.id, version),
        revisions.fixed_fields(session, study),
        study_status(session, study).items,
    )


def _judge(form: Mapping[str, str], now: _Stand) -> Judged:
    """A fixed field is not sent by its form; whatever sends one nevertheless is told."""
    fixed = {name: value for name, value in values_of(now.protocol).items() if is_one_of(name, now.fixed)}
    return judge(fixed | dict(form), base=now.protocol, items=now.items, problems={})


def _page(
    request: Request, access: StudyAccess, now: _Stand, judged: Judged, *, differences: Sequence[Difference] = ()
) -> ProtocolPage:
    return ProtocolPage(
        f"Protocol · {access.study.slug}",
        frame_of(request, access.signed_in),
        head=head_of(access, title=access.study.slug, current="Protocol"),
        version=now.version,
        groups=form_groups(now.protocol.kind, now.fixed),
        outlook=judged.outlook,
        differences=differences,
        values=judged.values,
        problems=judged.problems,
    )


@router.get("")
def protocol_page(request: Request, access: AsViewer, session: SessionDep) -> Response:
    now = _stand(session, access)
    return show(request, _page(request, access, now, _judge(values_of(now.protocol), now)))


@router.post("/outlook")
def outlook(request: Request, form: FormDep, access: AsResearcher, session: SessionDep) -> Response:
    """What the form comes to as it is being typed, and what is wrong with it. Changes nothing."""
    now = _stand(session, access)
    context = {"judged": _judge(form, now), "groups": form_groups(now.protocol.kind, now.fixed), "others": ()}
    return templates.TemplateResponse(request, "admin/_outlook_update.html", context)


@router.post("")
def change_protocol(request: Request, form: FormDep, access: AsResearcher, session: SessionDep) -> Response:
    now = _stand(session, access)
    judged, based_on = _judge(form, now), _version(form.get("version", ""), now)
    if judged.outlook.protocol is None and based_on == now.version:
        return show(request, _page(request, access, now, judged), status=422)
    try:
        # What is out of date is said first: a form that is merged is judged anew.
        protocol = judged.outlook.protocol or now.protocol
        version = revisions.revise(
            session,
            slug=access.study.slug,
            protocol=protocol,
            based_on=based_on,
            may_spend=access.signed_in.account.is_site_owner,
        )
    except Stale:
        return _merged(request, session, access, form, based_on)
    except (BadInput, Forbidden) as error:
        judged.problems.update(by_form_field(error.details["fields"], now.protocol.kind))
        return show(request, _page(request, access, now, judged), status=error.status)
    notice = "Nothing has changed." if version == now.version else f"Version {version} holds from the next sitting on."
    return go(f"/admin/studies/{access.study.slug}/protocol", access.signed_in, notice)


def _version(text: str, now: _Stand) -> int:
    """The version that the form was made from. Raises BadInput for what never was one."""
    if (version := whole_number(text, most=now.version)) is not None:
        return version
    raise BadInput("This form does not say which version it was made from. Reload the page.")


def _merged(
    request: Request, session: SessionDep, access: StudyAccess, form: Mapping[str, str], based_on: int
) -> Response:
    """Both people's changes in one form, to be looked at and saved; where they disagree, what this person typed."""
    now = _stand(session, access)
    before, theirs = values_of(protocol_version(session, access.study.id, based_on)), values_of(now.protocol)
    typed = {name: _typed(form, name, before, now) for name in before}
    labels = {each.name: each.label for group in form_groups(now.protocol.kind) for each in group.fields}
    differences = [
        Difference(labels[name], before[name], theirs[name], None if typed[name] == before[name] else typed[name])
        for name in before
        if theirs[name] not in (before[name], typed[name])
    ]
    merged = {name: theirs[name] if typed[name] == before[name] else typed[name] for name in before}
    page = _page(request, access, now, _judge(merged, now), differences=differences)
    return show(request, page, status=Stale.status)


def _typed(form: Mapping[str, str], name: str, before: Mapping[str, str], now: _Stand) -> str:
    """A field as this person left it; a fixed one and a flag that is off are not sent."""
    return form.get(name, before[name] if is_one_of(name, now.fixed) else "").replace("\r\n", "\n")
