"""Batches that several processes can share out evenly: each normalises, drops out and waits with as many rows as the others."""

import math

from inkdot.config import Config
from inkdot.errors import UserError
from inkdot.training.distributed.process_group import company
from inkdot.training.fit.vicreg import pairs_a_step
from inkdot.training.mil.bag_sampler import slides_a_step


def check_shares(config: Config, *, slides: bool) -> None:
    """What cannot be dealt out evenly, as far as the settings tell.

    Args:
        config: The whole config.
        slides: Slides teach as wholes too.

    Raises:
        UserError: The message names the next batch size that can.
    """
    size, settings = company().size, config.training
    if size == 1:
        return
    batch, own = settings.batch_size, settings.mil
    multiple, why = (
        size * settings.gradient_accumulation,
        f"each taking its share in parts of {settings.gradient_accumulation}",
    )
    even = not batch % multiple
    if slides:
        pairs = own.start == "self-supervised" and config.model.weights == "scratch"
        bags = slides_a_step(batch, own.bag_tiles)
        even = even and not bags % size and not (pairs and pairs_a_step(batch) % size)
        multiple = math.lcm(multiple, size * own.bag_tiles, 2 * size if pairs else 1)
        why += f", and as many slides of a step as the others, training.mil.bag_tiles ({own.bag_tiles}) tiles of each"
    if not even:
        raise UserError(
            f"training.batch_size: expected a multiple of {multiple} for {size} processes, {why}, found {batch}; "
            f"set it to {-(-batch // multiple) * multiple}"
        )
