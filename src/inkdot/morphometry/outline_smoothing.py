"""Outlines as a person would draw them: without the frays that thresholds leave."""

import cv2
import numpy as np

from inkdot.morphometry.arrays import Labels, boxes, connected, filled


def smoothed_labels(labels: Labels, radius_px: int) -> Labels:
    """Close and open each label with a disc, keep its largest piece, and fill it; labels never take from others.

    Args:
        labels: Numbered from 1, shape [height, width].
        radius_px: Radius of the disc in pixels; at least 1 is used.
    """
    radius = max(1, radius_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    result = np.zeros_like(labels)
    for number, found in boxes(labels):
        rows, columns = (slice(max(0, side.start - 2 * radius), side.stop + 2 * radius) for side in found)
        box = (rows, columns)
        around = labels[box]
        mask = (around == number).astype(np.uint8)
        # Nuclei at the border go on beyond it: repeating the border keeps them from being rounded off there.
        wide = np.pad(mask, 2 * radius, mode="edge")
        wide = cv2.morphologyEx(cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disc), cv2.MORPH_OPEN, disc)
        mask = wide[2 * radius : -2 * radius, 2 * radius : -2 * radius]
        count, pieces, statistics = connected(mask, 4)
        if count < 2:
            continue
        largest = pieces == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
        free = (around == 0) | (around == number)
        view = result[box]
        view[filled(largest) & free & (view == 0)] = number
    return result
