"""Money: what recruiters charge, what places cost at most, what the cap leaves, what an hour really paid.

Amounts are integers in minor units (pence, cents) of the study's currency. Fees and VAT are rounded up, each for itself
and per payment: whatever a recruiter rounds, and whether it rounds per payment or per bill, it charges no more.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from math import ceil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import BadInput

LAST_TENTH = Fraction(9, 10)
"""Recruiting asks before it takes more of the budget than this."""
_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
"""The currencies of ISO 4217 whose minor unit is not a hundredth."""


class Fees(BaseModel):
    """A recruiter's terms from one day on. `rate` is a share of what participants get, `vat` a share of the fee,
    `minimum` the least fee per payment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recruiter: str
    since: date
    rate: Decimal = Field(ge=0, le=10)
    vat: Decimal = Field(ge=0, le=1)
    minimum: int = Field(0, ge=0)


@dataclass(frozen=True)
class Cost:
    """What a payment costs: the participant's part, the recruiter's fee, and the tax on the fee."""

    pay: int
    fee: int
    vat: int

    @property
    def total(self) -> int:
        return self.pay + self.fee + self.vat


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fees: list[Fees]


def load_fees(path: Path | None = None) -> list[Fees]:
    """The terms in a file, or the published ones.

    Raises:
        BadInput: the file cannot be read, or an entry is wrong.
    """
    try:
        text = path.read_text() if path else (resources.files("app.domain") / "fees.toml").read_text()
        return _File.model_validate(tomllib.loads(text)).fees
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise BadInput(f"{path}: {wrong}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as fees: {error}") from None


def fees_on(day: date, recruiter: str, terms: Sequence[Fees]) -> Fees:
    """The terms in force on a day.

    Raises:
        BadInput: no entry for this recruiter holds on that day.
    """
    holding = [fees for fees in terms if fees.recruiter == recruiter and fees.since <= day]
    if not holding:
        raise BadInput(f"The fees name no terms of {recruiter} that hold on {day}. See docs/recruiting.md.")
    return max(holding, key=lambda fees: fees.since)


def cost(pay: int, fees: Fees) -> Cost:
    """What paying a participant `pay` costs at most."""
    if pay <= 0:
        return Cost(0, 0, 0)
    fee = max(fees.minimum, ceil(pay * fees.rate))
    return Cost(pay, fee, ceil(fee * fees.vat))


class OverBudget(Exception):
    """The cap does not cover it."""


@dataclass(frozen=True)
class Balance:
    """A study's budget: `committed` may still be charged for places that are open and bonuses that are asked for,
    `spent` was charged, `outside` was charged for what somebody did past us, on the recruiter's own website."""

    cap: int
    committed: int
    spent: int
    outside: int

    @property
    def taken(self) -> int:
        return self.committed + self.spent + self.outside

    @property
    def free(self) -> int:
        return max(0, self.cap - self.taken)

    def moved(self, *, committed: int = 0, spent: int = 0, outside: int = 0) -> "Balance":
        """The balance after a movement; this is the cap rule: nothing is committed but what is free.

        Raises:
            OverBudget: more would be committed than is free.
        """
        if committed > 0 and committed > self.free:
            raise OverBudget
        return Balance(self.cap, self.committed + committed, self.spent + spent, self.outside + outside)

    def affords(self, price: int) -> int:
        """How many places of this price still fit under the cap."""
        return self.free // price if price > 0 else 0

    def reaches_last_tenth(self, more: int) -> bool:
        """Whether committing `more` begins the last tenth."""
        return self.cap - self.free + more > LAST_TENTH * self.cap


def hourly_pay(reward: int, seconds: float) -> int:
    """What an hour pays if a sitting lasts so long, rounded down."""
    return int(Fraction(reward * 3600) / Fraction(max(seconds, 1.0)))


def top_up(reward: int, seconds: float, hourly_floor: int) -> int:
    """The bonus that lifts a sitting of this length to the floor, rounded up; 0 where the reward does already."""
    fair = Fraction(hourly_floor) * Fraction(max(seconds, 1.0)) / 3600
    return max(0, ceil(fair) - reward)


def decimals(currency: str) -> int:
    """How many decimals of its major unit a currency has in minor units, by ISO 4217: two, but none for the yen."""
    return next((places for places, codes in _DECIMALS.items() if currency in codes), 2)


def in_words(amount: float, currency: str) -> str:
    """An amount in minor units as people write it: 120 GBP is £1.20, 120 JPY are 120 JPY."""
    sign, places = {"GBP": "£", "USD": "$", "EUR": "€"}.get(currency), decimals(currency)
    major = f"{Decimal(round(amount)).scaleb(-places):,.{places}f}"
    return f"{sign}{major}" if sign else f"{major} {currency}"
