"""Reads annotations of QuPath, ASAP, ImageScope and tables of boxes as labels of regions.

The slide is given by its metadata (:class:`inkdot.records.SlideInfo`); pixels are not read.
"""

from inkdot.annotations.read_annotation import Annotation, dialect_of, read_annotation, read_qupath_objects

__all__ = ["Annotation", "dialect_of", "read_annotation", "read_qupath_objects"]
