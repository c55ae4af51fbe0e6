"""Studies, the versions of their protocol, their rounds, imports and exports."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now

STUDY_STATES = ("draft", "open", "paused", "closed")
EXPORT_FORMS = ("folder", "webdataset", "parquet", "bapps")
REQUEST_STATES = ("waiting", "running", "done", "failed")
UNDER_WAY = ("waiting", "running")


class Study(Base):
    """`state` is what the researcher decided; `finished_at` is the fact that every needed vote is in.

    `round` is the number of the current round, 0 while a draft; it never decreases. `derived_from` is the sha256 of the
    manifest of the export whose kept items began this study's pool. `archived_at`: put away since then, out of the list
    and unchanged until it is brought back.
    """

    __tablename__ = "studies"
    __table_args__ = (
        UniqueConstraint("slug", name="slug"),
        CheckConstraint("slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'", name="slug_form"),
        CheckConstraint(f"state IN {STUDY_STATES}", name="state"),
        CheckConstraint("round >= 0", name="round"),
        CheckConstraint("archived_at IS NULL OR state IN ('draft', 'closed')", name="archived_at_rest"),
    )

    id: Mapped[Id]
    slug: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    derived_from: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="draft")
    round: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[Now]
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]


class ProtocolVersion(Base):
    """A protocol as it stood from one moment on; every assignment names the version it was dealt under."""

    __tablename__ = "protocol_versions"
    __table_args__ = (CheckConstraint("version >= 1", name="version"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Now]


class Round(Base):
    """One pass of the unanimity filter."""

    __tablename__ = "rounds"
    __table_args__ = (CheckConstraint("number >= 1", name="number"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    opened_at: Mapped[Now]
    closed_at: Mapped[datetime | None]


class Export(Base):
    """An immutable, versioned snapshot of a study as files; `kept` are the numbers of the items it keeps."""

    __tablename__ = "exports"
    __table_args__ = (UniqueConstraint("study_id", "version", name="study_id_version"),)

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    version: Mapped[int]
    manifest_sha256: Mapped[str]
    counts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    kept: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    created_at: Mapped[Now]


class ExportRequest(Base):
    """An export that somebody asked for in the dashboard, in which format and of which items, and how far a worker has
    come with it.

    `version` is the export's once it is done; `message` says why it failed.
    """

    __tablename__ = "export_requests"
    __table_args__ = (
        CheckConstraint(f"state IN {REQUEST_STATES}", name="state"),
        CheckConstraint(f"form IN {EXPORT_FORMS}", name="form"),
        CheckConstraint("split IN ('train', 'val', 'test') AND min_votes > 0", name="choice"),
        CheckConstraint("(state = 'done') = (version IS NOT NULL)", name="version"),
        ForeignKeyConstraint(
            ["study_id", "version"], ["exports.study_id", "exports.version"], name="fk_export_requests_version"
        ),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    requested_by: Mapped[str]
    form: Mapped[str] = mapped_column(server_default="folder")
    min_votes: Mapped[int | None]
    split: Mapped[str | None]
    only_kept: Mapped[bool] = mapped_column(server_default=text("false"))
    state: Mapped[str] = mapped_column(server_default="waiting")
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    version: Mapped[int | None]
    message: Mapped[str | None]
    created_at: Mapped[Now]
    ended_at: Mapped[datetime | None]


class ImportRequest(Base):
    """An import that somebody asked for in the dashboard or through the API, and how far a worker has come with it.

    `source` is the folder's path below the place of imports, or the name of a ZIP file that was sent, whose bytes are
    kept under the key `upload` until the import is over; `stage` what is being done, `done` of `total` times.
    `items` are new, `already_there` came in by an earlier run, or before the worker was lost that began it; `message`
    says why it failed.
    """

    __tablename__ = "import_requests"
    __table_args__ = (
        CheckConstraint(f"state IN {REQUEST_STATES}", name="state"),
        CheckConstraint("length(source) > 0", name="source"),
        CheckConstraint("upload ~ '^[0-9a-f]{32}$'", name="upload"),
        CheckConstraint("done BETWEEN 0 AND total", name="done"),
        CheckConstraint("(state = 'done') = (items IS NOT NULL AND already_there IS NOT NULL)", name="done_has_counts"),
        CheckConstraint("(state = 'failed') = (message IS NOT NULL)", name="failed_has_message"),
        CheckConstraint("(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name="ended"),
        Index("uq_import_requests_under_way", "study_id", unique=True, postgresql_where=text(f"state IN {UNDER_WAY}")),
        Index("ix_import_requests_study_id", "study_id", "id"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    requested_by: Mapped[str]
    source: Mapped[str]
    upload: Mapped[str | None]
    normalise: Mapped[bool]
    state: Mapped[str] = mapped_column(server_default="waiting")
    stage: Mapped[str | None]
    done: Mapped[int] = mapped_column(server_default="0")
    total: Mapped[int] = mapped_column(server_default="0")
    items: Mapped[int | None]
    already_there: Mapped[int | None]
    message: Mapped[str | None]
    created_at: Mapped[Now]
    ended_at: Mapped[datetime | None]


class Import(Base):
    """How far the rows of one file have come into a study: an interrupted import goes on from here."""

    __tablename__ = "imports"
    __table_args__ = (CheckConstraint("done BETWEEN 0 AND total", name="done"),)

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    file_sha256: Mapped[str] = mapped_column(primary_key=True)
    first_number: Mapped[int]
    total: Mapped[int]
    done: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[Now]
