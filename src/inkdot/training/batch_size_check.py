"""Whether several processes can share a batch evenly."""

import math

from inkdot.config import TrainingConfig
from inkdot.errors import UserError
from inkdot.training.mil.bag_sampler import slides_per_step


def check_batch_size(settings: TrainingConfig, processes: int, *, mil: bool) -> None:
    """Refuse a ``training.batch_size`` that processes cannot share evenly, as far as the settings tell.

    Args:
        settings: Settings of training.
        processes: How many train together.
        mil: Attention over whole slides is trained too.

    Raises:
        UserError: The message names the next batch size that fits.
    """
    if processes == 1:
        return
    batch, parts, bag_tiles = settings.batch_size, settings.gradient_accumulation, settings.mil.bag_tiles
    multiple, why = processes * parts, f"each taking its share in parts of {parts}"
    even = not batch % multiple
    if mil:
        even = even and not slides_per_step(batch, bag_tiles) % processes
        multiple = math.lcm(multiple, processes * bag_tiles)
        why += f", and as many slides of a step as the others, training.mil.bag_tiles ({bag_tiles}) tiles of each"
    if not even:
        raise UserError(
            f"training.batch_size: expected a multiple of {multiple} for {processes} processes, {why}, found {batch}; "
            f"set it to {-(-batch // multiple) * multiple}"
        )
