"""A study made from what another one kept."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import Sessions
from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict
from app.models.studies import Export, Study
from app.services import study_lookup
from app.services.items import images
from app.services.items.items import NewItem, add_items, pool_of
from app.services.studies import lifecycle
from app.services.study_lookup import current_protocol
from app.storage import Storage

IMAGES_PER_CHUNK = 64


@dataclass(frozen=True)
class Derived:
    """`items` of the source's export `version`."""

    version: int
    items: int


def derive_study(
    sessions: Sessions,
    storage: Storage,
    *,
    source: str,
    slug: str,
    protocol: Protocol,
    seed: int | None,
    report: Callable[[str, int, int], None],
) -> Derived:
    """Make a draft study whose pool are the items that the source's last export kept; numbers and splits stay.

    In JND each triplet becomes two pairs. Recorded answers to another question are left behind.

    Raises:
        NotFound: no such source. BadInput: the new name is taken, or pairs would have to become triplets.
        Conflict: the source was never exported, or kept nothing.
    """
    with sessions() as session:
        lifecycle.require_free_name(session, slug)
        origin = study_lookup.by_slug(session, source)
        export = _last_export(session, origin)
        items = _kept_items(session, origin, export, protocol)
    _make_derivatives(sessions, storage, items, derivative=images.DERIVATIVE_FOR[protocol.kind], report=report)
    with sessions.begin() as session:
        study = lifecycle.create(session, slug=slug, protocol=protocol, seed=seed)
        study.derived_from = export.manifest_sha256
        add_items(session, study=study, items=items)
    return Derived(export.version, len(items))


def _last_export(session: Session, study: Study) -> Export:
    exports = select(Export).where(Export.study_id == study.id).order_by(Export.version.desc())
    last = session.scalars(exports.limit(1)).first()
    if last is None:
        raise Conflict(
            f"The study {study.slug!r} has no export to begin with. Make one: lookalike export {study.slug} OUT"
        )
    if not last.kept:
        raise Conflict(f"Version {last.version} of {study.slug!r} keeps no items.")
    return last


def _kept_items(session: Session, study: Study, export: Export, protocol: Protocol) -> list[NewItem]:
    kind = current_protocol(session, study.id).kind
    if kind == "jnd" and protocol.kind == "2afc":
        raise BadInput(f"{study.slug!r} is a JND study: its pairs cannot become triplets.")
    return pool_of(session, study=study, numbers=export.kept, with_recorded=kind == protocol.kind)


def _make_derivatives(
    sessions: Sessions,
    storage: Storage,
    items: list[NewItem],
    *,
    derivative: str,
    report: Callable[[str, int, int], None],
) -> None:
    """Images before rows: until the study is there, these are merely not used."""
    shown = sorted({sha for item in items for sha in (item.reference, item.candidate_0, item.candidate_1) if sha})
    for start in range(0, len(shown), IMAGES_PER_CHUNK):
        report("preparing images", start, len(shown))
        with sessions.begin() as session:
            chunk = shown[start : start + IMAGES_PER_CHUNK]
            images.add_derivatives(session, storage, sha256s=chunk, derivative=derivative)
    report("preparing images", len(shown), len(shown))
