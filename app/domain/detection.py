"""How likely a rule set's attention and side rules flag an observer of a known kind, from the binomial distribution.

An observer is two or three probabilities. 2AFC: a guesser has accuracy 0.5; somebody always pressing left has accuracy
0.5 and left 1; a careful one accuracy 0.95. JND: always "same" is a hit and a false alarm rate of 0, a guesser 0.5 and
0.5. What the other rules find is for a simulation to tell.
"""

from scipy.special import bdtr

from app.domain.quality import side_bias_p_value
from app.domain.quality_rules import QualityRules


def sentinels_flag(rules: QualityRules, *, sentinels: int, accuracy: float) -> float:
    """P(more wrong sentinels than are allowed), each being answered rightly with probability `accuracy`."""
    return _more_than(rules.sentinel_misses_allowed, n=sentinels, p=1 - accuracy)


def side_bias_flags(rules: QualityRules, *, trials: int, left: float = 0.5) -> float:
    """P(side bias is found) in so many trials, sentinels included, with each answer on the left with P = `left`."""
    critical = _most_uneven(trials, rules.side_bias_p)
    return _at_most(critical, n=trials, p=left) + _at_most(critical, n=trials, p=1 - left)


def false_alarms_flag(rules: QualityRules, *, sentinels: int, false_alarm_rate: float) -> float:
    """P(more false alarms than are allowed) on so many identical JND sentinels."""
    return _more_than(rules.false_alarms_allowed(sentinels), n=sentinels, p=false_alarm_rate)


def flag_probability_2afc(
    rules: QualityRules, *, trials: int, sentinels: int, accuracy: float, left: float = 0.5
) -> float:
    """P(flagged for missed sentinels or for side bias) in a sitting of `trials` pool trials and `sentinels`.

    Takes the two counts as independent. Because sides are drawn at random, they are for an observer who errs as often
    on either side, and for one who presses by side whatever it shows (whose accuracy is then 0.5).
    """
    unflagged = 1 - sentinels_flag(rules, sentinels=sentinels, accuracy=accuracy)
    return 1 - unflagged * (1 - side_bias_flags(rules, trials=trials + sentinels, left=left))


def flag_probability_jnd(
    rules: QualityRules, *, different: int, same: int, hit_rate: float, false_alarm_rate: float
) -> float:
    """P(flagged for missed differences or for false alarms) with so many clearly different and identical sentinels."""
    unflagged = 1 - sentinels_flag(rules, sentinels=different, accuracy=hit_rate)
    return 1 - unflagged * (1 - false_alarms_flag(rules, sentinels=same, false_alarm_rate=false_alarm_rate))


def _most_uneven(trials: int, threshold: float) -> int:
    """The largest count on the rarer side that is still flagged; −1 if none is."""
    critical = -1
    while critical + 1 <= trials // 2 and side_bias_p_value(critical + 1, trials) < threshold:
        critical += 1
    return critical


def _at_most(count: int, *, n: int, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{p} is not a probability")
    if n < 0:
        raise ValueError("a number of trials must not be negative")
    if count < 0:
        return 0.0
    return float(bdtr(count, n, p)) if count < n else 1.0


def _more_than(count: int, *, n: int, p: float) -> float:
    return 1 - _at_most(count, n=n, p=p)
