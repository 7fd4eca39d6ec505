"""The learning rate of every step."""

import math

from inkdot.config import TrainingConfig


def learning_rate_at(step: int, steps: int, settings: TrainingConfig) -> float:
    """Linear warm-up to the peak, then half a cosine down to nearly nothing; a pure function of the step."""
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    share = (step - warmup + 1) / (steps - warmup + 1)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))
