"""Sensitivity d′: how well an observer tells two kinds of trial apart, whatever their leaning to one answer."""

import math

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri


def corrected_rate(count: int, of: int) -> float:
    """(count + ½) / (of + 1): a rate that is never 0 or 1, for which d′ would be infinite (log-linear, Hautus 1995).

    Raises:
        ValueError: `count` is not from 0 to `of`.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is not a rate")
    return (count + 0.5) / (of + 1)


def d_prime(hit_rate: float, false_alarm_rate: float) -> float:
    """z(H) − z(F), for yes/no trials; below 0 for an observer worse than chance.

    Args:
        hit_rate: P("different" | different). false_alarm_rate: P("different" | same).

    Raises:
        ValueError: a rate is not strictly between 0 and 1.
    """
    _require_rates(hit_rate, false_alarm_rate)
    return float(ndtri(hit_rate) - ndtri(false_alarm_rate))


def d_prime_same_different(hit_rate: float, false_alarm_rate: float) -> float:
    """d′ of the differencing model for same–different trials whose images change from trial to trial (roving).

    The observer says "different" when the two impressions are further apart than a criterion k (Macmillan & Creelman,
    Detection Theory, 2nd ed., chapter 9):

        F = P("different" | same)      = 2 Φ(−k / √2), which gives k, and then d′ from
        H = P("different" | different) = Φ((d′ − k) / √2) + Φ((−d′ − k) / √2).

    The model gives no H below F; such an observer's d′ is 0.

    Raises:
        ValueError: a rate is not strictly between 0 and 1.
    """
    _require_rates(hit_rate, false_alarm_rate)
    if hit_rate <= false_alarm_rate:
        return 0.0
    k = -math.sqrt(2) * float(ndtri(false_alarm_rate / 2))

    def excess(d: float) -> float:
        return float(ndtr((d - k) / math.sqrt(2)) + ndtr((-d - k) / math.sqrt(2))) - hit_rate

    # H grows with |d′|; at this bound its first term alone is H already.
    bound = abs(k + math.sqrt(2) * float(ndtri(hit_rate))) + 1
    return float(brentq(excess, 0, bound, xtol=1e-12))


def _require_rates(*rates: float) -> None:
    if not all(0 < rate < 1 for rate in rates):
        raise ValueError("d′ needs rates strictly between 0 and 1: corrected_rate makes them")
