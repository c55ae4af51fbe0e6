"""A study's money: its budget, every movement on it, and the bonuses it pays."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base, Id, Now

ENTRY_KINDS = ("places", "reward", "unused", "bonus", "bonus_paid", "bonus_cancelled", "outside", "settled")
BATCH_STATES = ("intended", "paying", "paid", "refused", "unclear", "not_paid")
OWED = ("intended", "paying", "unclear")
"""Batches that may still be paid."""


class Budget(Base):
    """A study's hard cap and what is taken of it, in minor units of its currency; the sums of its ledger.

    `committed` may still be charged, `spent` was charged. `outside` is what somebody set off past us, on the
    recruiter's own website: it counts, but no constraint of ours can forbid it.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("committed + spent <= cap", name="cap"),
        CheckConstraint("cap >= 0 AND committed >= 0 AND spent >= 0 AND outside >= 0", name="amounts"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    currency: Mapped[str]
    cap: Mapped[int] = mapped_column(BigInteger)
    committed: Mapped[int] = mapped_column(BigInteger, server_default="0")
    spent: Mapped[int] = mapped_column(BigInteger, server_default="0")
    outside: Mapped[int] = mapped_column(BigInteger, server_default="0")


class LedgerEntry(Base):
    """One movement on a budget; append-only, and a trigger sees to it.

    The constraints say what may happen once only: a submission's reward, each step of a bonus, a settlement.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        CheckConstraint(f"kind IN {ENTRY_KINDS}", name="kind"),
        CheckConstraint("(kind = 'reward') = (submission_id IS NOT NULL)", name="reward_has_submission"),
        CheckConstraint(
            "(kind IN ('bonus', 'bonus_paid', 'bonus_cancelled')) = (bonus_id IS NOT NULL)", name="bonus_has_bonus"
        ),
        Index("uq_ledger_reward_once", "submission_id", unique=True),
        Index("uq_ledger_bonus_once", "bonus_id", "kind", unique=True),
        Index("uq_ledger_bonus_ends_once", "bonus_id", unique=True, postgresql_where=text("kind <> 'bonus'")),
        Index("uq_ledger_settled_once", "recruitment_id", unique=True, postgresql_where=text("kind = 'settled'")),
        Index("ix_ledger_recruitment_id", "recruitment_id"),
        Index("ix_ledger_study_id", "study_id"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("budgets.study_id"))
    kind: Mapped[str]
    committed: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)
    outside: Mapped[int] = mapped_column(BigInteger)
    recruitment_id: Mapped[int | None] = mapped_column(ForeignKey("recruitments.id"))
    submission_id: Mapped[int | None] = mapped_column(ForeignKey("submissions.id"))
    bonus_id: Mapped[int | None] = mapped_column(ForeignKey("bonuses.id"))
    at: Mapped[Now]


class BonusBatch(Base):
    """Bonuses that are paid by one call, which is never made twice.

    intended ──▶ paying ──▶ paid        `paying` is on disk before the call is made. Whoever finds a batch there later
        │           ├─────▶ refused     finds a call whose outcome nobody knows: it becomes `unclear`, and a human
        └──▶ refused └────▶ unclear     settles it as `paid` or `not_paid`.
    """

    __tablename__ = "bonus_batches"
    __table_args__ = (
        CheckConstraint(f"state IN {BATCH_STATES}", name="state"),
        CheckConstraint(
            "state NOT IN ('paying', 'paid', 'unclear') OR (external_id IS NOT NULL AND quoted IS NOT NULL)",
            name="external_id",
        ),
        UniqueConstraint("external_id", name="external_id"),
    )

    id: Mapped[Id]
    recruitment_id: Mapped[int] = mapped_column(ForeignKey("recruitments.id"))
    state: Mapped[str] = mapped_column(server_default="intended")
    external_id: Mapped[str | None]
    quoted: Mapped[int | None] = mapped_column(BigInteger)
    note: Mapped[str | None]
    created_at: Mapped[Now]
    called_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class Bonus(Base):
    """A bonus for one assignment, for one reason only once. `amount` is the participant's, `price` with fee and VAT;
    one that was certainly not paid is `cancelled`, and may be granted again."""

    __tablename__ = "bonuses"
    __table_args__ = (
        CheckConstraint("amount > 0 AND price >= amount", name="amount"),
        CheckConstraint("length(reason) > 0", name="reason"),
        Index("uq_bonuses_once", "assignment_id", "reason", unique=True, postgresql_where=text("NOT cancelled")),
        Index("ix_bonuses_batch_id", "batch_id"),
    )

    id: Mapped[Id]
    study_id: Mapped[int] = mapped_column(ForeignKey("budgets.study_id"))
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str]
    batch_id: Mapped[int] = mapped_column(ForeignKey("bonus_batches.id"))
    cancelled: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]
