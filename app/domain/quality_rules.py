"""What a study's rule set makes of a sitting's signals.

A finding is a proposal with its numbers. Whether votes are excluded is decided elsewhere, and paying is yet another
decision.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from app.domain.counted import counted
from app.domain.quality import FAST_MS, Count, PeerAgreement, ResponseTimes, SameDevice, Signals

FindingName = Literal[
    "sentinel_misses",
    "false_alarms",
    "instruction_misses",
    "side_bias",
    "fast_answers",
    "slow_answers",
    "repeated_times",
    "constant_times",
    "no_agreement",
    "timing_flags",
    "suspect_records",
    "same_device",
]
FAILED_SENTINELS = frozenset[FindingName]({"sentinel_misses", "false_alarms"})
"""The findings that the protocol's `failed_sentinels` speaks of."""
ABOUT_TIMES = frozenset[FindingName]({"fast_answers", "slow_answers", "repeated_times", "constant_times"})


@dataclass(frozen=True)
class QualityRules:
    """What a study tolerates; the numbers, and the ranges they may have, are the protocol's.

    sentinel_misses_allowed: wrong 2AFC sentinels, or missed "different" ones in JND.
    false_alarm_share_allowed: of the identical JND sentinels; one is always allowed. A share, and a generous one, since
        careful people call about one identical pair in ten different.
    side_bias_p, same_device_p, time_variation: flags below it.  agreement_kappa: flags at or below it.
    fewest_answers: rules about shares speak only from so many answers on.
    """

    sentinel_misses_allowed: int
    false_alarm_share_allowed: float
    instruction_misses_allowed: int
    side_bias_p: float
    fast_share: float
    slow_share: float
    repeated_share: float
    time_variation: float
    agreement_kappa: float
    timing_flagged_share: float
    suspect_share: float
    same_device_p: float
    fewest_answers: int

    def for_sittings(self, number: int) -> "QualityRules":
        """The rules for a person's several sittings together: what may be missed in each adds up."""
        return replace(
            self,
            sentinel_misses_allowed=number * self.sentinel_misses_allowed,
            instruction_misses_allowed=number * self.instruction_misses_allowed,
        )

    def false_alarms_allowed(self, sentinels: int) -> int:
        """How many of so many identical sentinels may be called different."""
        # The tiny addend keeps a product such as 0.29 · 100 = 28.999… from losing its last unit.
        return max(1, math.floor(self.false_alarm_share_allowed * sentinels + 1e-9))


@dataclass(frozen=True)
class Finding:
    """A machine's name and a sentence for a human, with the numbers in it."""

    name: FindingName
    sentence: str


def verdict(signals: Signals, rules: QualityRules) -> list[Finding]:
    """What the rules object to; empty if nothing."""
    return [
        *_attention_findings(signals, rules),
        *_side_findings(signals, rules),
        *_time_findings(signals.response_times, rules),
        *_agreement_findings(signals.agreement, rules),
        *_record_findings(signals, rules),
        *_device_findings(signals.same_device, rules),
    ]


def _attention_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    allowed = rules.sentinel_misses_allowed
    misses, hits, alarms = signals.sentinel_misses, signals.hits, signals.false_alarms
    if misses.count > allowed:
        yield Finding("sentinel_misses", f"Missed {_of(misses, 'attention check')}; {allowed} may be missed.")
    if hits.of - hits.count > allowed:
        missed = Count(hits.of - hits.count, hits.of)
        yield Finding(
            "sentinel_misses", f'Said "same" of {_of(missed, "clearly different pair")}; {allowed} may be missed.'
        )
    allowed = rules.false_alarms_allowed(alarms.of)
    if alarms.count > allowed:
        yield Finding("false_alarms", f'Said "different" of {_of(alarms, "identical pair")}; {allowed} are allowed.')
    allowed = rules.instruction_misses_allowed
    if signals.instruction_misses.count > allowed:
        sentence = f"Did not follow {_of(signals.instruction_misses, 'instructed answer')}; {allowed} may be missed."
        yield Finding("instruction_misses", sentence)


def _side_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    p = signals.side_bias_p
    if p is not None and p < rules.side_bias_p:
        yield Finding(
            "side_bias",
            f"Chose the left image in {_of(signals.left, 'trial')}; without a preference for a side, a count as uneven "
            f"as this has a probability of {p:.2g}.",
        )


def _time_findings(times: ResponseTimes | None, rules: QualityRules) -> Iterable[Finding]:
    if times is None or times.fast.of < rules.fewest_answers:
        return
    if times.fast.share > rules.fast_share:
        yield Finding("fast_answers", f"Answered {_of(times.fast, 'trial')} in under {FAST_MS} ms.")
    if times.slow.share > rules.slow_share:
        yield Finding(
            "slow_answers",
            f"Took unusually long over {_of(times.slow, 'trial')} (median {times.median / 1000:.1f} s).",
        )
    if times.repeated.share > rules.repeated_share:
        yield Finding(
            "repeated_times", f"The same response time, to the millisecond, in {_of(times.repeated, 'trial')}."
        )
    if times.variation is not None and times.variation < rules.time_variation:
        yield Finding(
            "constant_times",
            f"Response times vary by {times.variation * 100:.1f} % around their median of {times.median:.0f} ms; "
            "people's usually vary by 20 % or more.",
        )


def _agreement_findings(agreement: PeerAgreement | None, rules: QualityRules) -> Iterable[Finding]:
    if agreement is None or agreement.kappa is None or agreement.agreed.of < rules.fewest_answers:
        return
    if agreement.kappa <= rules.agreement_kappa:
        yield Finding(
            "no_agreement",
            f"Agrees with the majority of the others on {_of(agreement.agreed, 'item')}, where chance alone gives "
            f"{agreement.expected * 100:.0f} % (kappa {agreement.kappa:.2f}).",
        )


def _record_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    if signals.suspect.of < rules.fewest_answers:
        return
    if signals.timing_flagged.share > rules.timing_flagged_share:
        sentence = f"The page flagged the timing of {_of(signals.timing_flagged, 'trial')}."
        yield Finding("timing_flags", sentence)
    if signals.suspect.share > rules.suspect_share:
        sentence = f"The timing records of {_of(signals.suspect, 'trial')} are missing or cannot be true."
        yield Finding("suspect_records", sentence)


def _device_findings(device: SameDevice | None, rules: QualityRules) -> Iterable[Finding]:
    if device is not None and device.p < rules.same_device_p:
        yield Finding(
            "same_device",
            f"{_of(device.at_once, 'sitting')} of other people at the same time were on a device described alike, and "
            f"{device.elsewhere.count} of {device.elsewhere.of} at other times; by chance, with a probability of "
            f"{device.p:.2g}.",
        )


def _of(count: Count, noun: str) -> str:
    return f"{count.count} of {counted(count.of, noun)}"
