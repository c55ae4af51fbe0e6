"""New versions of a study's protocol: what may still change, and nobody's change lost."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain import protocol as protocols
from app.domain.protocol import FROZEN_FIELDS, Protocol
from app.errors import BadInput, Conflict, Forbidden, Stale
from app.models.assignments import Assignment
from app.models.items import Item
from app.models.money import Budget
from app.models.studies import ProtocolVersion, Study
from app.services import audit, money, study_lookup
from app.services.assignments.checks import require_supply
from app.services.rounds import filter as unanimity
from app.services.rounds.filter import Stage
from app.services.studies import lifecycle
from app.services.study_lookup import current_version, protocol_version


def revise(session: Session, *, slug: str, protocol: Protocol, based_on: int, may_spend: bool = False) -> int:
    """Give the study a new version of its protocol, made from the version `based_on`; what is the same makes none.

    Returns the current version. Sittings that have begun go on under theirs. Whoever `may_spend` the site's money may
    raise the budget of a study that recruits.

    Raises:
        Stale: somebody else made a newer version meanwhile.
        BadInput: a field changes that is fixed by now, or people would be left without consent or instructions;
        `details["fields"]` says which. Conflict: it is archived.
        Forbidden: the budget would rise, which is not theirs to decide.
    """
    study, version, before = _locked(session, slug, based_on)
    return _replace(session, study, version, before, protocol, may_spend=may_spend)


def amend(session: Session, *, slug: str, changes: Mapping[str, Any], based_on: int, may_spend: bool = False) -> int:
    """Like `revise`, from the fields that change, nested as in a protocol's TOML file.

    Raises:
        BadInput: fields are wrong or fixed; `details["fields"]` has all of them. Stale, Conflict, Forbidden: as
        `revise`.
    """
    study, version, before = _locked(session, slug, based_on)
    document = before.model_dump(mode="json")
    amended = protocols.merged(document, changes)
    fixed = _fixed_among(fixed_fields(session, study), _changed(document, amended))
    try:
        protocol = protocols.parse(amended)
    except BadInput as error:
        lines = [error.message, *(f"  {field}: {complaint}" for field, complaint in fixed.items())]
        raise BadInput("\n".join(lines), fields=error.details["fields"] | fixed) from None
    return _replace(session, study, version, before, protocol, may_spend=may_spend)


def _locked(session: Session, slug: str, based_on: int) -> tuple[Study, int, Protocol]:
    """The study with its current version of the protocol, if that is what the change is made from.

    FOR UPDATE: whoever signs up waits (see `sign_ups`), so nobody begins under a version while it is replaced.
    """
    locked = select(Study).where(Study.slug == slug).with_for_update()
    study = session.scalars(locked.execution_options(populate_existing=True)).one()
    study_lookup.require_in_use(study)
    version = current_version(session, study.id)
    if based_on > version:
        raise BadInput(f"There is no version {based_on} of the protocol yet; the newest is {version}.")
    if based_on != version:
        raise Stale(f"Version {version} of the protocol was saved while you changed version {based_on}.")
    return study, version, protocol_version(session, study.id, version)


def _replace(
    session: Session, study: Study, version: int, before: Protocol, protocol: Protocol, *, may_spend: bool
) -> int:
    changed = list(_changed(before.model_dump(mode="json"), protocol.model_dump(mode="json")))
    if not changed:
        return version
    if wrong := _fixed_among(fixed_fields(session, study), changed):
        raise BadInput("; ".join(f"{name} {complaint}" for name, complaint in wrong.items()) + ".", fields=wrong)
    if study.state != "draft":
        lifecycle.require_texts(protocol)
        require_supply(session, study=study, protocol=protocol)
    _move_budget(session, study, before, protocol, may_spend=may_spend)
    session.add(ProtocolVersion(study_id=study.id, version=version + 1, document=protocol.model_dump(mode="json")))
    session.flush()
    if study.round and before.rule != protocol.rule:
        _settle(session, study, protocol)
    audit.record(
        session, "changed the protocol to", study=study, subject=f"version {version + 1}", fields=", ".join(changed)
    )
    return version + 1


def fixed_fields(session: Session, study: Study) -> tuple[str, ...]:
    """The fields and sections that may not change any more: from the first sitting on those that decide what its votes
    mean. The kind never changes, since images are prepared for it."""
    begun = select(Assignment.id).where(Assignment.study_id == study.id)
    return FROZEN_FIELDS if session.scalar(select(begun.exists())) else ("kind",)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of the fields that differ."""
    for name, value in after.items():
        earlier = before.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            yield from _changed(earlier, value, f"{prefix}{name}.")
        elif value != earlier:
            yield prefix + name


def _fixed_among(fixed: tuple[str, ...], changed: Iterable[str]) -> dict[str, str]:
    """The changed fields that are fixed, or in a section that is, each with the complaint about it."""
    complaint = "is fixed since the first sitting; duplicate the study to change it"
    return {
        name: "never changes: the images are prepared for it" if name == "kind" else complaint
        for name in changed
        if name.split(".")[0] in fixed
    }


def _move_budget(session: Session, study: Study, before: Protocol, protocol: Protocol, *, may_spend: bool) -> None:
    """Once recruiting has begun, the cap is the protocol's, and the recruiter stays."""
    budget = session.get(Budget, study.id)
    if budget is None:
        return
    if protocol.pay.budget > budget.cap and not may_spend:
        complaint = "Once recruiting has begun, only an owner of this site may raise it."
        raise Forbidden(f"pay.budget: {complaint}", fields={"pay.budget": complaint})
    if before.recruiting.recruiter != protocol.recruiting.recruiter:
        complaint = "cannot change once recruiting has begun"
        raise BadInput(f"recruiting.recruiter {complaint}.", fields={"recruiting.recruiter": complaint})
    try:
        money.set_budget(session, study_id=study.id, pay=protocol.pay)
    except Conflict as error:
        field = "pay.budget" if before.pay.currency == protocol.pay.currency else "pay.currency"
        raise BadInput(error.message, fields={field: error.message}) from None


def _settle(session: Session, study: Study, protocol: Protocol) -> None:
    """The round that nobody has begun gets the slots of the new rule."""
    pool = select(Item.id).where(Item.study_id == study.id, Item.role == "pool").order_by(Item.id)
    items = session.scalars(pool).all()
    unanimity.lock(session, items)
    unanimity.settle(session, Stage.of(study, protocol), items, opening=True)
