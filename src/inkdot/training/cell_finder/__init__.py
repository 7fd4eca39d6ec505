"""Training and fine-tuning of the cell finder."""
