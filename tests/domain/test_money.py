"""What things cost, against sums done the long way round: in whole ten-thousandths, by counting up."""

import random
from datetime import date
from decimal import Decimal
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.money import Balance, Fees, OverBudget, cost, fees_on, hourly_pay, in_words, load_fees, top_up
from app.errors import BadInput

RATE, VAT = st.integers(0, 10_000), st.integers(0, 10_000)  # ten-thousandths


def terms(rate: int, vat: int, minimum: int = 0) -> Fees:
    def share(parts: int) -> Decimal:
        return Decimal(parts) / 10_000

    return Fees(recruiter="prolific", since=date(2026, 1, 1), rate=share(rate), vat=share(vat), minimum=minimum)


def least_at_least(parts: int) -> int:
    """The least whole number of minor units that covers so many ten-thousandths of one."""
    units = parts // 10_000
    while units * 10_000 < parts:
        units += 1
    return units


@given(st.integers(1, 100_000), RATE, VAT, st.integers(0, 5))
def test_cost_covers_every_rounding(pay: int, rate: int, vat: int, minimum: int) -> None:
    found = cost(pay, terms(rate, vat, minimum))
    assert found.pay == pay
    assert found.fee == max(minimum, least_at_least(pay * rate))
    assert found.vat == least_at_least(found.fee * vat)
    assert found.total == found.pay + found.fee + found.vat


@given(st.integers(1, 5000), st.integers(1, 400), RATE, VAT)
def test_one_bill_for_all_costs_no_more_than_the_places(pay: int, places: int, rate: int, vat: int) -> None:
    fee_on_the_bill = least_at_least(places * pay * rate)
    bill = places * pay + fee_on_the_bill + least_at_least(places * pay * rate * vat // 10_000)
    assert places * cost(pay, terms(rate, vat)).total >= bill


def test_published_terms_are_the_dearest() -> None:
    found = cost(120, fees_on(date(2026, 11, 1), "prolific", load_fees()))
    assert (found.pay, found.fee, found.vat, found.total) == (120, 52, 11, 183)  # 51.36 and 10.4, rounded up
    assert cost(0, terms(4280, 2000)).total == 0


def test_terms_of_the_day_hold() -> None:
    early, late = terms(100, 0), terms(200, 0).model_copy(update={"since": date(2026, 6, 1)})
    assert fees_on(date(2026, 5, 31), "prolific", [late, early]) == early
    assert fees_on(date(2026, 6, 1), "prolific", [late, early]) == late
    with pytest.raises(BadInput, match="no terms of prolific"):
        fees_on(date(2025, 12, 31), "prolific", [late, early])
    with pytest.raises(BadInput, match="no terms of connect"):
        fees_on(date(2026, 12, 31), "connect", [late, early])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fees = 3", "fees"),
        ('[[fees]]\nrecruiter = "prolific"\nsince = 2026-01-01\nrate = "-0.1"\nvat = "0"', "rate"),
        ('[[fees]]\nrecruiter = "prolific"\nsince = 2026-01-01\nrate = "0.1"\nvat = "0"\nplus = 1', "plus"),
        ("[[fees", "cannot be read"),
    ],
)
def test_wrong_fees_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "fees.toml").write_text(text)
    with pytest.raises(BadInput, match=complaint):
        load_fees(tmp_path / "fees.toml")


@given(st.integers(0, 2000), st.integers(0, 1500), st.integers(0, 1500), st.integers(0, 500), st.integers(1, 300))
def test_places_fit_one_by_one(cap: int, committed: int, spent: int, outside: int, price: int) -> None:
    taken, places = committed + spent + outside, 0
    while taken + price <= cap:
        taken, places = taken + price, places + 1
    assert Balance(cap, committed, spent, outside).affords(price) == places


def test_the_last_tenth_begins_above_nine() -> None:
    balance = Balance(cap=1000, committed=400, spent=300, outside=100)
    assert not balance.reaches_last_tenth(100)
    assert balance.reaches_last_tenth(101)


@given(st.integers(0, 300), st.integers(1, 3000), st.integers(0, 1200))
def test_top_up_is_the_least_that_reaches_the_floor(reward: int, seconds: int, floor: int) -> None:
    bonus = 0
    while (reward + bonus) * 3600 < floor * seconds:
        bonus += 1
    assert top_up(reward, seconds, floor) == bonus
    assert hourly_pay(reward + bonus, seconds) >= floor


def test_amounts_in_words() -> None:
    assert [in_words(120, "GBP"), in_words(123_456, "USD"), in_words(5, "CHF")] == ["£1.20", "$1,234.56", "0.05 CHF"]
    assert [in_words(120, "JPY"), in_words(-1_234, "KWD"), in_words(99.6, "EUR")] == ["120 JPY", "-1.234 KWD", "€1.00"]


class World:
    """What a recruiter would really charge, however our calls to it ended; kept apart from the balance under test."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.fees = terms(rng.randint(0, 5000), rng.randint(0, 2500))
        self.reward = rng.randint(1, 300)
        self.cap = rng.randint(0, 40_000)
        self.price = cost(self.reward, self.fees).total
        self.balance = Balance(self.cap, 0, 0, 0)
        self.places = 0  # that the recruiter has opened and nobody was paid for yet
        self.paid_rewards = 0
        self.bonuses: dict[int, int] = {}  # bonus → how often it was paid
        self.open_bonuses: list[tuple[int, int]] = []
        self.bonus_pay = 0

    def charged(self) -> int:
        pay = self.paid_rewards * self.reward + self.bonus_pay
        exact = pay * (1 + self.fees.rate * (1 + self.fees.vat))
        return floor(exact)

    def could_be_charged(self) -> int:
        return self.places * self.price

    def recruit(self) -> None:
        places = self.rng.randint(1, 6)
        try:
            self.balance = self.balance.moved(committed=places * self.price)
        except OverBudget:
            assert places > self.balance.affords(self.price)
            return
        # Lost on the way there, lost on the way back, or answered: the commitment stands, and the call is repeated.
        self.places += places

    def reward_one(self) -> None:
        if self.places:
            self.places -= 1
            self.paid_rewards += 1
            self.balance = self.balance.moved(committed=-self.price, spent=self.price)

    def stop(self) -> None:
        unused = self.rng.randint(0, self.places)
        self.places -= unused
        self.balance = self.balance.moved(committed=-unused * self.price)

    def grant_bonus(self) -> None:
        amount = self.rng.randint(1, 200)
        try:
            self.balance = self.balance.moved(committed=cost(amount, self.fees).total)
        except OverBudget:
            return
        self.bonuses[len(self.bonuses)] = 0
        self.open_bonuses.append((len(self.bonuses) - 1, amount))

    def pay_bonus(self) -> None:
        """One call at most; whatever its answer, a human or the answer itself tells in the end which it was."""
        if not self.open_bonuses:
            return
        number, amount = self.open_bonuses.pop(self.rng.randrange(len(self.open_bonuses)))
        price = cost(amount, self.fees).total
        if self.rng.random() < 0.3:
            self.balance = self.balance.moved(committed=-price)
            return
        self.bonuses[number] += 1
        self.bonus_pay += amount
        self.balance = self.balance.moved(committed=-price, spent=price)


@pytest.mark.parametrize("seed", range(20))
def test_500_random_steps_of_20_worlds_stay_under_the_cap(seed: int) -> None:
    world = World(random.Random(seed))
    steps = [world.recruit, world.reward_one, world.stop, world.grant_bonus, world.pay_bonus]
    for step in world.rng.choices(steps, weights=[3, 6, 1, 2, 2], k=500):
        step()
        balance = world.balance
        assert min(balance.committed, balance.spent) >= 0
        assert balance.committed + balance.spent <= balance.cap
        assert world.charged() <= balance.spent, "every rounding is covered"
        assert world.could_be_charged() <= balance.committed
    assert max(world.bonuses.values(), default=0) <= 1
