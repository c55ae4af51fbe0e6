"""What validation says of a run, in words: each epoch's agreement, and which epoch's weights are kept."""

from training.scores import Estimate

Epoch = dict[str, float]  # one record of metrics.jsonl


def agreement_text(epoch: Epoch) -> str:
    """Agreement with people, never without its interval and the number of triplets that it is of."""
    value, low, high, n = (epoch[f"val_{name}"] for name in ("agreement", "low", "high", "triplets"))
    return f"{Estimate(value, low, high, int(n))} of {int(n)} triplet{'s' * (n != 1)}"


def best_epoch(history: list[Epoch]) -> Epoch:
    return min(history, key=lambda epoch: epoch["val_loss"])


def verdict(history: list[Epoch]) -> str:
    """One sentence: the epoch whose weights the run holds, or that training made none better."""
    best = best_epoch(history)
    facts = f"validation loss {best['val_loss']:.4f}, agreement {agreement_text(best)}"
    if best["epoch"] == 0:
        return f"No epoch was better on validation than the untrained model, whose weights the run holds: {facts}."
    return f"The run holds the weights of epoch {int(best['epoch'])}, the best on validation: {facts}."
