"""How far a sitting can be trusted: the signals in its judgments. What they are worth, `quality_rules` says.

The same functions serve one assignment and all the assignments of a participant.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from app.domain.timing_records import flags_of, is_absurd, is_possible_ms

Kind = Literal["2afc", "jnd"]
Role = Literal["pool", "practice", "sentinel", "instruction"]

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

    expected: the share by chance. In 2AFC ½: sides are drawn, so whoever does not look agrees half the time, however
        the candidates are numbered. In JND what it would be if the two were independent, from how often each says 0, 1.
    kappa: (share − expected) / (1 − expected), which is Bennett's S or Cohen's κ; None where it is undefined, both
        always saying the same in JND.
    """

    agreed: Count
    expected: float
    kappa: float | None


@dataclass(frozen=True)
class SameDevice:
    """Other people's sittings on a device described alike: of those at the same time, and of those at other times.

    p: that of so many at once, were they spread at random (`devices`).
    """

    at_once: Count
    elsewhere: Count
    p: float


@dataclass(frozen=True)
class Signals:
    """What an assignment's or a participant's judgments show; practice is left out of everything.

    sentinel_misses: wrong 2AFC sentinels. hits, false_alarms: "different" said of different and of identical JND
    sentinels. left: 2AFC pool and sentinel trials answered with the left image; side_bias_p: two-sided exact binomial
    p of that count, None without such trials. timing_flagged, suspect: trials whose page flagged its own timing, and
    trials whose record cannot be believed. same_device: None where the page did not describe its device.
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
    same_device: SameDevice | None = None


def signals(answers: Iterable[Answered], *, same_device: SameDevice | None = None) -> Signals:
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
        same_device=same_device,
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


def peer_agreement(answers: Sequence[Answered]) -> PeerAgreement | None:
    """Leave-one-out agreement with the majority of the others' votes, beyond chance.

    Items on which the others are tied, or have not voted, do not count; None with fewer than `FEWEST_COMPARABLE` left.
    """
    compared = [(answer.choice, _majority(answer.others)) for answer in answers if answer.others[0] != answer.others[1]]
    if len(compared) < FEWEST_COMPARABLE:
        return None
    agreed = _count(own == theirs for own, theirs in compared)
    expected = 0.5 if answers[0].kind == "2afc" else _expected_agreement(compared)
    kappa = (agreed.share - expected) / (1 - expected) if expected < 1 else None
    return PeerAgreement(agreed, expected, kappa)


def _expected_agreement(compared: Sequence[tuple[int, int]]) -> float:
    own_1 = sum(own for own, _ in compared) / len(compared)
    theirs_1 = sum(theirs for _, theirs in compared) / len(compared)
    return own_1 * theirs_1 + (1 - own_1) * (1 - theirs_1)


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
