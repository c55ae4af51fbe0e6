"""How far a sitting can be trusted: signals from its judgments, and what a rule set makes of them.

A finding is a proposal with its numbers. Whether votes are excluded is decided elsewhere, and paying is yet another
decision. The same functions serve one assignment and all the assignments of a participant.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from app.domain.timing_records import flags_of, is_absurd, is_possible_ms

Kind = Literal["2afc", "jnd"]
Role = Literal["pool", "practice", "sentinel", "instruction"]
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
]

SAME, DIFFERENT = 0, 1
"""The choices of a JND judgment."""

FAST_MS = 200
"""Nobody sees, decides and presses in less."""

SLOW_MS = 30_000
SLOW_MADS = 5
FEWEST_COMPARABLE = 10
"""Below this many answers that others have voted on too, agreement is not computed."""

_MAD_TO_SD = 1.4826
"""The standard deviation of a normal distribution in units of its median absolute deviation."""


@dataclass(frozen=True)
class Answered:
    """One judgment: the answer to one question of one trial.

    choice: 2AFC: the candidate, 0 or 1; JND: `SAME` or `DIFFERENT`. answer: the right choice, where it is known.
    left_candidate: the candidate shown on the left (2AFC).
    question: its place in the trial, from 0. Response time and timing belong to the trial and are read with question 0.
    timing: the page's record as it was stored (`timing_records`); suspect: marked as such when it was stored.
    others: how many other participants' valid votes on the same question of the same item say 0 and 1.
    """

    kind: Kind
    role: Role
    choice: int
    answer: int | None = None
    left_candidate: int | None = None
    question: int = 0
    rt_ms: float | None = None
    timing: Mapping[str, Any] | None = None
    suspect: bool = False
    others: tuple[int, int] = (0, 0)

    @property
    def is_wrong(self) -> bool:
        return self.answer is not None and self.choice != self.answer


@dataclass(frozen=True)
class Count:
    """`count` of `of`."""

    count: int = 0
    of: int = 0

    @property
    def share(self) -> float:
        """0 where there is nothing to count."""
        return self.count / self.of if self.of else 0.0


@dataclass(frozen=True)
class ResponseTimes:
    """Of the trials with a usable response time during which the page was never hidden.

    median: in ms. fast: under `FAST_MS`. slow: over `SLOW_MS`, or over the median by `SLOW_MADS` times the median
    absolute deviation (MAD). repeated: the commonest value, to the millisecond.
    variation: the coefficient of variation, robust (1.4826 · MAD / median) because a machine may pause too; None if the
    median is 0. People's is seldom below 0.2.
    """

    median: float
    fast: Count
    slow: Count
    repeated: Count
    variation: float | None


@dataclass(frozen=True)
class PeerAgreement:
    """Answers equal to the majority of the others' votes, over items on which the others have a majority.

    expected: the share that equal answers would have if the two were independent, from how often each says 0 and 1.
    kappa: (share − expected) / (1 − expected), Cohen (1960); None where it is undefined, both always saying the same.
    """

    agreed: Count
    expected: float
    kappa: float | None


@dataclass(frozen=True)
class Signals:
    """What an assignment's or a participant's judgments show; practice is left out of everything.

    sentinel_misses: wrong 2AFC sentinels. hits, false_alarms: "different" said of different and of identical JND
    sentinels. left: 2AFC pool and sentinel trials answered with the left image; side_bias_p: two-sided exact binomial
    p of that count, None without such trials. timing_flagged, suspect: trials whose page flagged its own timing, and
    trials whose record cannot be believed.
    """

    sentinel_misses: Count
    hits: Count
    false_alarms: Count
    instruction_misses: Count
    left: Count
    side_bias_p: float | None
    response_times: ResponseTimes | None
    agreement: PeerAgreement | None
    timing_flagged: Count
    suspect: Count


@dataclass(frozen=True)
class QualityRules:
    """What a rule set tolerates. Rules about shares speak only from `fewest_answers` answers on.

    sentinel_misses_allowed: wrong 2AFC sentinels, or missed "different" ones in JND.
    false_alarm_share_allowed: of the identical JND sentinels; one is always allowed. A share, and a generous one, since
        careful people call about one identical pair in ten different.
    side_bias_p: flags below it.
    variation: flags below it.  kappa: flags at or below it.

    Raises:
        ValueError: a threshold outside its range, named.
    """

    sentinel_misses_allowed: int = 1
    false_alarm_share_allowed: float = 0.4
    instruction_misses_allowed: int = 0
    side_bias_p: float = 0.001
    fast_share: float = 0.2
    slow_share: float = 0.2
    repeated_share: float = 0.5
    variation: float = 0.1
    kappa: float = 0.0
    timing_flagged_share: float = 0.2
    suspect_share: float = 0.2
    fewest_answers: int = 20

    def __post_init__(self) -> None:
        for name in ("sentinel_misses_allowed", "instruction_misses_allowed", "fewest_answers"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        shares = [name for name in self.__dataclass_fields__ if name.endswith(("_share", "_share_allowed"))]
        for name in (*shares, "side_bias_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1")
        if not self.variation >= 0:
            raise ValueError("variation must not be negative")
        if not -1 <= self.kappa <= 1:
            raise ValueError("kappa must be from -1 to 1")

    def false_alarms_allowed(self, sentinels: int) -> int:
        """How many of so many identical sentinels may be called different."""
        # The tiny addend keeps a product such as 0.29 · 100 = 28.999… from losing its last unit.
        return max(1, math.floor(self.false_alarm_share_allowed * sentinels + 1e-9))


@dataclass(frozen=True)
class Finding:
    """A machine's name and a sentence for a human, with the numbers in it."""

    name: FindingName
    sentence: str


def signals(answers: Iterable[Answered]) -> Signals:
    """The signals of one assignment, or of all the assignments of one participant in a study."""
    counted = [answer for answer in answers if answer.role != "practice"]
    shown = [answer for answer in counted if answer.role in ("pool", "sentinel")]
    trials = [answer for answer in shown if answer.question == 0]
    left = _left(answer for answer in shown if answer.kind == "2afc")
    return Signals(
        sentinel_misses=_misses(answer for answer in shown if answer.role == "sentinel" and answer.kind == "2afc"),
        hits=_called_different(shown, truth=DIFFERENT),
        false_alarms=_called_different(shown, truth=SAME),
        instruction_misses=_misses(answer for answer in counted if answer.role == "instruction"),
        left=left,
        side_bias_p=side_bias_p_value(left.count, left.of) if left.of else None,
        response_times=response_times(_usable_times(trials)),
        agreement=peer_agreement([answer for answer in shown if answer.role == "pool"]),
        timing_flagged=_count(bool(flags_of(trial.timing)) for trial in trials),
        suspect=_count(_is_suspect(trial) for trial in trials),
    )


def side_bias_p_value(left: int, of: int) -> float:
    """The two-sided exact binomial p of `left` answers out of `of` on the left, were both sides equally likely.

    Sides are drawn at random, so this holds whatever the images show.

    Raises:
        ValueError: `left` is not from 0 to `of`.
    """
    if not 0 <= left <= of:
        raise ValueError(f"{left} of {of} answers cannot be on the left")
    sequences = tail = 1  # of `of` answers, those with none on the rarer side, then with one, two …
    for count in range(min(left, of - left)):
        sequences = sequences * (of - count) // (count + 1)
        tail += sequences
    return min(1.0, 2 * tail / (1 << of))


def response_times(times: Sequence[float]) -> ResponseTimes | None:
    """What response times in ms show; None without any."""
    if not times:
        return None
    middle = median(times)
    mad = median(abs(time - middle) for time in times)
    # With a MAD of 0 every other value would be an outlier.
    slow = min(SLOW_MS, middle + SLOW_MADS * mad) if mad else SLOW_MS
    return ResponseTimes(
        median=middle,
        fast=_count(time < FAST_MS for time in times),
        slow=_count(time > slow for time in times),
        repeated=Count(max(Counter(round(time) for time in times).values()), len(times)),
        variation=_MAD_TO_SD * mad / middle if middle else None,
    )


def peer_agreement(answers: Iterable[Answered]) -> PeerAgreement | None:
    """Leave-one-out agreement with the majority of the others' votes, beyond chance.

    Items on which the others are tied, or have not voted, do not count; None with fewer than `FEWEST_COMPARABLE` left.
    """
    compared = [(answer.choice, _majority(answer.others)) for answer in answers if answer.others[0] != answer.others[1]]
    n = len(compared)
    if n < FEWEST_COMPARABLE:
        return None
    agreed = _count(own == theirs for own, theirs in compared)
    own_1 = sum(own for own, _ in compared) / n
    theirs_1 = sum(theirs for _, theirs in compared) / n
    expected = own_1 * theirs_1 + (1 - own_1) * (1 - theirs_1)
    kappa = (agreed.share - expected) / (1 - expected) if expected < 1 else None
    return PeerAgreement(agreed, expected, kappa)


def verdict(signals: Signals, rules: QualityRules) -> list[Finding]:
    """What the rules object to; empty if nothing."""
    return [
        *_attention_findings(signals, rules),
        *_side_findings(signals, rules),
        *_time_findings(signals.response_times, rules),
        *_agreement_findings(signals.agreement, rules),
        *_record_findings(signals, rules),
    ]


def _attention_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    allowed = rules.sentinel_misses_allowed
    misses, hits, alarms = signals.sentinel_misses, signals.hits, signals.false_alarms
    if misses.count > allowed:
        yield Finding("sentinel_misses", f"Missed {_of(misses)} attention checks; {allowed} may be missed.")
    if hits.of - hits.count > allowed:
        missed = Count(hits.of - hits.count, hits.of)
        yield Finding(
            "sentinel_misses", f'Said "same" of {_of(missed)} clearly different pairs; {allowed} may be missed.'
        )
    allowed = rules.false_alarms_allowed(alarms.of)
    if alarms.count > allowed:
        yield Finding("false_alarms", f'Said "different" of {_of(alarms)} identical pairs; {allowed} are allowed.')
    allowed = rules.instruction_misses_allowed
    if signals.instruction_misses.count > allowed:
        sentence = f"Did not follow {_of(signals.instruction_misses)} instructed answers; {allowed} may be missed."
        yield Finding("instruction_misses", sentence)


def _side_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    p = signals.side_bias_p
    if p is not None and p < rules.side_bias_p:
        yield Finding(
            "side_bias",
            f"Chose the left image in {_of(signals.left)} trials; without a preference for a side, a count as uneven "
            f"as this has a probability of {p:.2g}.",
        )


def _time_findings(times: ResponseTimes | None, rules: QualityRules) -> Iterable[Finding]:
    if times is None or times.fast.of < rules.fewest_answers:
        return
    if times.fast.share > rules.fast_share:
        yield Finding("fast_answers", f"Answered {_of(times.fast)} trials in under {FAST_MS} ms.")
    if times.slow.share > rules.slow_share:
        yield Finding(
            "slow_answers",
            f"Took unusually long over {_of(times.slow)} trials (median {times.median / 1000:.1f} s).",
        )
    if times.repeated.share > rules.repeated_share:
        yield Finding("repeated_times", f"The same response time, to the millisecond, in {_of(times.repeated)} trials.")
    if times.variation is not None and times.variation < rules.variation:
        yield Finding(
            "constant_times",
            f"Response times vary by {times.variation * 100:.1f} % around their median of {times.median:.0f} ms; "
            "people's usually vary by 20 % or more.",
        )


def _agreement_findings(agreement: PeerAgreement | None, rules: QualityRules) -> Iterable[Finding]:
    if agreement is None or agreement.kappa is None or agreement.agreed.of < rules.fewest_answers:
        return
    if agreement.kappa <= rules.kappa:
        yield Finding(
            "no_agreement",
            f"Agrees with the majority of the others on {_of(agreement.agreed)} items, where chance alone gives "
            f"{agreement.expected * 100:.0f} % (kappa {agreement.kappa:.2f}).",
        )


def _record_findings(signals: Signals, rules: QualityRules) -> Iterable[Finding]:
    if signals.suspect.of < rules.fewest_answers:
        return
    if signals.timing_flagged.share > rules.timing_flagged_share:
        sentence = f"The page flagged the timing of {_of(signals.timing_flagged)} trials."
        yield Finding("timing_flags", sentence)
    if signals.suspect.share > rules.suspect_share:
        sentence = f"The timing records of {_of(signals.suspect)} trials are missing or cannot be true."
        yield Finding("suspect_records", sentence)


def _of(count: Count) -> str:
    return f"{count.count} of {count.of}"


def _count(conditions: Iterable[bool]) -> Count:
    conditions = list(conditions)
    return Count(sum(conditions), len(conditions))


def _misses(answers: Iterable[Answered]) -> Count:
    return _count(answer.is_wrong for answer in answers)


def _called_different(answers: Iterable[Answered], *, truth: int) -> Count:
    return _count(
        answer.choice == DIFFERENT
        for answer in answers
        if answer.kind == "jnd" and answer.role == "sentinel" and answer.answer == truth
    )


def _left(answers: Iterable[Answered]) -> Count:
    return _count(answer.choice == answer.left_candidate for answer in answers if answer.left_candidate is not None)


def _majority(others: tuple[int, int]) -> int:
    return int(others[1] > others[0])


def _usable_times(trials: Iterable[Answered]) -> list[float]:
    return [trial.rt_ms for trial in trials if is_possible_ms(trial.rt_ms) and "hidden" not in flags_of(trial.timing)]


def _is_suspect(trial: Answered) -> bool:
    return trial.suspect or not is_possible_ms(trial.rt_ms) or is_absurd(trial.timing)
