"""Annotations that people drew in other programs, read into the one labels table.

Works on files and records: the slide comes in as a ``SlideInfo``, never as a handle.
"""

from inkdot.annotations.read_annotation import Annotation, dialect_of, read_annotation

__all__ = ["Annotation", "dialect_of", "read_annotation"]
