"""Studies: made, opened, paused, closed, archived."""

import secrets
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.errors import BadInput, Conflict
from app.models.items import Item
from app.models.studies import ProtocolVersion, Study
from app.services import audit
from app.services.assignments.checks import make_checks
from app.services.generation.progress import require_none_waiting
from app.services.items.items import require_no_import
from app.services.rounds.rounds import open_round
from app.services.study_lookup import SLUG, by_slug, current_protocol, require_in_use, status_word


def create(session: Session, *, slug: str, protocol: Protocol, seed: int | None = None) -> Study:
    """A draft study.

    Raises:
        BadInput: the name is not lower-case letters, digits and inner hyphens, or is taken.
    """
    require_free_name(session, slug)
    study = Study(slug=slug, seed=secrets.randbits(31) if seed is None else seed)
    session.add(study)
    try:
        session.flush()
    except IntegrityError:
        raise BadInput(f"There is already a study {slug!r}. Choose another name.") from None
    session.add(ProtocolVersion(study_id=study.id, version=1, document=protocol.model_dump(mode="json")))
    audit.record(session, "made the study", study=study)
    session.flush()
    return study


def require_free_name(session: Session, slug: str) -> None:
    """Raises BadInput for what can name no study, or names one."""
    if not SLUG.fullmatch(slug):
        raise BadInput(f"{slug!r} cannot name a study: use 1–63 lower-case letters, digits and inner hyphens.")
    if session.scalar(select(Study.id).where(Study.slug == slug)) is not None:
        raise BadInput(f"There is already a study {slug!r}. Choose another name.")


def open_study(session: Session, *, slug: str) -> Study:
    """Open a draft (makes its practice and sentinel items and the first round) or a paused study.

    Raises:
        Conflict: it is closed or archived, has no items, or waits for some.
        BadInput: too few references for the sentinels, or no consent text or instructions.
    """
    study = by_slug(session, slug, lock=True)
    require_in_use(study)
    if study.state == "closed":
        raise Conflict(f"The study {slug!r} is closed. Duplicate it to collect more.")
    require_texts(current_protocol(session, study.id))
    if study.state == "draft":
        require_none_waiting(session, study)
        require_no_import(session, study)
        if session.scalar(select(Item.id).where(Item.study_id == study.id).limit(1)) is None:
            raise Conflict(f"The study {slug!r} has no items yet. Import some first: lookalike import --help")
        make_checks(session, study=study, protocol=current_protocol(session, study.id))
        study.opened_at = func.clock_timestamp()
        open_round(session, study)
    if study.state != "open":
        audit.record(session, "opened the study", study=study)
    study.state = "open"
    session.flush()
    return study


def pause(session: Session, *, slug: str) -> Study:
    """Stop new assignments; those under way go on.

    Raises:
        Conflict: the study is not collecting. One that is finished would stay paused if an exclusion had it collect
            again.
    """
    study = by_slug(session, slug, lock=True)
    if status_word(study) not in ("collecting", "paused"):
        raise Conflict(f"The study {slug!r} is {status_word(study)}, so there is nothing to pause.")
    if study.state != "paused":
        audit.record(session, "paused the study", study=study)
    study.state = "paused"
    return study


def close(session: Session, *, slug: str) -> Study:
    """Stop new assignments for good; what was collected decides. Twice changes nothing.

    Raises:
        Conflict: the study is archived.
    """
    study = by_slug(session, slug, lock=True)
    require_in_use(study)
    if study.state != "closed":
        study.state = "closed"
        study.closed_at = func.clock_timestamp()
        audit.record(session, "closed the study", study=study)
    return study


def archive(session: Session, *, slug: str) -> Study:
    """Put a draft or closed study away, out of the list of studies; nothing of it is lost. Twice changes nothing.

    Raises:
        Conflict: people may still take part in it.
    """
    study = by_slug(session, slug, lock=True)
    if study.state not in ("draft", "closed"):
        raise Conflict(f"The study {slug!r} is {study.state}. Close it before you archive it.")
    if study.archived_at is None:
        study.archived_at = func.clock_timestamp()
        audit.record(session, "archived the study", study=study)
    return study


def restore(session: Session, *, slug: str) -> Study:
    """Bring an archived study back as it was. Twice changes nothing."""
    study = by_slug(session, slug, lock=True)
    if study.archived_at is not None:
        study.archived_at = None
        audit.record(session, "brought back the study", study=study)
    return study


def require_texts(protocol: Protocol) -> None:
    """Raises BadInput for a protocol that tells people neither what they agree to nor what to do."""
    missing = protocol.missing_texts
    if missing:
        lines = " and ".join(f'{name} = "{name}.md"' for name in missing)
        raise BadInput(
            f"The protocol has no {' and no '.join(missing)}, which people read before they begin. Add it in the "
            f"dashboard; or make the study from a preset, or from a TOML file with {lines} and the Markdown beside it.",
            fields=dict.fromkeys(missing, "people read it before they begin"),
        )


@dataclass(frozen=True)
class StudyLine:
    """One line of the list of studies. `status` is the state, or `finished` once every vote is in."""

    slug: str
    kind: str
    status: str
    round: int
    rounds: int
    items: int
    created_at: str


def list_studies(session: Session) -> list[StudyLine]:
    counts = dict(
        session.execute(select(Item.study_id, func.count()).where(Item.role == "pool").group_by(Item.study_id)).all()
    )
    lines = []
    for study in session.scalars(select(Study).order_by(Study.id)):
        protocol = current_protocol(session, study.id)
        lines.append(
            StudyLine(
                slug=study.slug,
                kind=protocol.kind,
                status=status_word(study),
                round=study.round,
                rounds=protocol.rounds,
                items=counts.get(study.id, 0),
                created_at=study.created_at.isoformat(timespec="seconds"),
            )
        )
    return lines
