"""The learning rate of every step."""

import math


def learning_rate_at(step: int, steps: int, peak: float, warmup_fraction: float) -> float:
    """Linear warm-up to the peak, then half a cosine down to nearly nothing; a pure function of the step."""
    warmup = max(1, round(warmup_fraction * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup + 1) / (steps - warmup + 1)
    return peak * 0.5 * (1.0 + math.cos(math.pi * share))
