"""New versions of a study's protocol: what may still change, and nobody's change lost."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.protocol import FROZEN_FIELDS, Protocol
from app.errors import BadInput, Conflict, Forbidden, Stale
from app.models.assignments import Assignment
from app.models.items import Item
from app.models.money import Budget
from app.models.studies import ProtocolVersion, Study
from app.services import audit, money, studies
from app.services import filter as unanimity
from app.services.checks import require_supply
from app.services.filter import Stage
from app.services.protocols import current_version, protocol_version


def revise(session: Session, *, slug: str, protocol: Protocol, based_on: int, may_spend: bool = False) -> int:
    """Give the study a new version of its protocol, made from the version `based_on`; what is the same makes none.

    Returns the current version. Sittings that have begun go on under theirs. Whoever `may_spend` the site's money may
    raise the budget of a study that recruits.

    Raises:
        Stale: somebody else made a newer version meanwhile.
        BadInput: a field changes that is fixed by now; `details["fields"]` says which. Conflict: it is archived.
        Forbidden: the budget would rise, which is not theirs to decide.
    """
    # FOR UPDATE: whoever signs up waits (see `sign_ups`), so nobody begins under a version while it is replaced.
    locked = select(Study).where(Study.slug == slug).with_for_update()
    study = session.scalars(locked.execution_options(populate_existing=True)).one()
    studies.require_in_use(study)
    version = current_version(session, study.id)
    before = protocol_version(session, study.id, version)
    if version != based_on:
        raise Stale(f"Version {version} of the protocol was saved while you changed version {based_on}.")
    changed = list(_changed(before.model_dump(mode="json"), protocol.model_dump(mode="json")))
    if not changed:
        return version
    _require_free(fixed_fields(session, study), changed)
    if study.state != "draft":
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
        if isinstance(value, dict):
            yield from _changed(before.get(name, {}), value, f"{prefix}{name}.")
        elif value != before.get(name):
            yield prefix + name


def _require_free(fixed: tuple[str, ...], changed: list[str]) -> None:
    wrong = [name for name in changed if name.split(".")[0] in fixed]
    if wrong:
        complaint = "is fixed since the first sitting; duplicate the study to change it"
        raise BadInput(
            f"{', '.join(wrong)} {complaint if len(wrong) == 1 else complaint.replace('is fixed', 'are fixed')}.",
            fields=dict.fromkeys(wrong, complaint),
        )


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
