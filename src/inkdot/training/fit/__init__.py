"""The training loop and what it needs: objective, loss, schedule, EMA, checkpoints, pretrained weights."""
