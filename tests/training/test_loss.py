"""The loss against a computation in NumPy and SciPy that shares no code with it."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from inkdot.labels import DEFAULT_HEADS
from inkdot.training.fit.loss import masked_loss

HEADS = DEFAULT_HEADS
NAN = float("nan")


def independent(logits, targets, factors, row_weights):
    total, per_head = 0.0, {}
    for head, (low, high) in {"malignancy": (0, 2), "morphology": (2, 4)}.items():
        losses, weights = [], []
        for logit, target, weight in zip(logits, targets, row_weights, strict=True):
            if not np.isnan(target[low:high]).any():
                losses.append(-np.dot(target[low:high], log_softmax(logit[low:high])))
                weights.append(weight)
        per_head[head] = np.average(losses, weights=weights) if losses else 0.0
        total += factors.get(head, 1.0) * per_head[head]
    return total, per_head


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_numpy_soft_unknown_and_weighted(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(20, 4)) * 4
    share = generator.random((20, 2))
    targets = np.stack([share[:, 0], 1 - share[:, 0], share[:, 1], 1 - share[:, 1]], axis=1)
    targets[generator.random(20) < 0.3, :2] = np.nan
    targets[generator.random(20) < 0.6, 2:] = np.nan
    weights = generator.random(20)
    factors = {"morphology": 0.3}
    expected, per_head = independent(logits, targets, factors, weights)
    found = masked_loss(torch.tensor(logits), torch.tensor(targets), HEADS, factors, torch.tensor(weights))
    assert float(found.total) == pytest.approx(expected, rel=1e-5)
    assert {name: float(value) for name, value in found.per_head.items()} == pytest.approx(per_head, rel=1e-5)


def test_unknown_rows_contribute_neither_value_nor_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    targets = torch.tensor([[1, 0, NAN, NAN], [NAN, NAN, NAN, NAN], [0, 1, 1, 0]])
    masked_loss(logits, targets, HEADS).total.backward()
    gradient = logits.grad
    assert torch.isfinite(gradient).all()
    assert (gradient[1] == 0).all()
    assert (gradient[0, 2:] == 0).all()
    assert (gradient[2] != 0).all()


def test_a_head_without_labels_gives_zero_with_gradient_zero():
    logits = (torch.randn(5, 4) * 50).requires_grad_()
    targets = torch.full((5, 4), NAN)
    loss = masked_loss(logits, targets, HEADS)
    loss.total.backward()
    assert float(loss.total.detach()) == 0.0
    assert (logits.grad == 0).all()


def test_half_precision_logits_are_summed_in_single_precision():
    logits = torch.full((4096, 4), 3.0, dtype=torch.bfloat16)
    loss = masked_loss(logits, torch.tensor([[1.0, 0, 0.5, 0.5]]).repeat(4096, 1), HEADS)
    assert loss.total.dtype == torch.float32
    assert float(loss.per_head["malignancy"]) == pytest.approx(np.log(2), rel=1e-6)
