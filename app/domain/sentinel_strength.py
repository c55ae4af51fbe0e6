"""Whom a protocol's sentinels let through: people who do not look, from the binomial distribution."""

from app.domain.counted import counted
from app.domain.detection import false_alarms_flag, sentinels_flag
from app.domain.protocol import Protocol

TOLERABLE = 0.05
"""So large a share of them may pass without a word: the presets let through one in a hundred or fewer."""
_MOST = 200


def passing_shares(protocol: Protocol) -> dict[str, float]:
    """How large a share of those who do so ("answer at random") pass the sentinels of a sitting.

    In JND a sentinel is taken to be one pair where `same_sentinels` says how many are identical, or where pairs are not
    interleaved; elsewhere it has an identical pair and a different one.
    """
    sitting, rules = protocol.assignment, protocol.quality_rules
    if protocol.kind == "2afc":
        passing = 1 - sentinels_flag(rules, sentinels=sitting.sentinels, accuracy=0.5)
        return {"answer at random or always press the same side": passing}
    is_one_pair = sitting.same_sentinels is not None or not protocol.presentation.interleave
    same = sitting.identical_sentinels if is_one_pair else sitting.sentinels
    different = sitting.sentinels - same if is_one_pair else sitting.sentinels

    def passing_jnd(says_different: float) -> float:
        hits = 1 - sentinels_flag(rules, sentinels=different, accuracy=says_different)
        return hits * (1 - false_alarms_flag(rules, sentinels=same, false_alarm_rate=says_different))

    shares = {"answer at random": 0.5, "always say “same”": 0.0, "always say “different”": 1.0}
    return {who: passing_jnd(says_different) for who, says_different in shares.items()}


def weakness(protocol: Protocol) -> str | None:
    """What is to be said against the protocol's sentinels, in sentences; None where they are strong enough."""
    passing = {who: share for who, share in passing_shares(protocol).items() if share > TOLERABLE}
    if not passing:
        return None
    sitting = protocol.assignment
    who_pass = ", ".join(f"{share:.0%} of those who {who}" for who, share in passing.items())
    sentinels = counted(sitting.sentinels, "sentinel") if sitting.sentinels else "for want of sentinels"
    missed = f", of which {sitting.sentinel_misses_allowed} may be missed" if sitting.sentinel_misses_allowed else ""
    return f"{who_pass} pass {sentinels}{missed}. {_way_out(protocol)}"


def _way_out(protocol: Protocol) -> str:
    for sentinels in range(protocol.assignment.sentinels + 1, _MOST + 1):
        share = max(passing_shares(_with(protocol, sentinels)).values())
        if share <= TOLERABLE:
            return f"With {counted(sentinels, 'sentinel')} it would be {share:.0%} at most."
    return "Allow fewer misses."


def _with(protocol: Protocol, sentinels: int) -> Protocol:
    sitting = protocol.assignment.model_copy(update={"sentinels": sentinels})
    return protocol.model_copy(update={"assignment": sitting})
