"""Reads and writes tables of slides (``slides.csv``) and images (``images.csv``), and lists folders of slides."""

from inkdot.manifest.images import ImageColumns, ImageEntry, read_images
from inkdot.manifest.overrides import known_preparation, with_overrides
from inkdot.manifest.read_slides import read_all_slides, read_slides
from inkdot.manifest.slide_folder import SLIDE_SUFFIXES
from inkdot.manifest.source_notes import source_notes
from inkdot.manifest.write_slides import manifest_text

__all__ = [
    "SLIDE_SUFFIXES",
    "ImageColumns",
    "ImageEntry",
    "known_preparation",
    "manifest_text",
    "read_all_slides",
    "read_images",
    "read_slides",
    "source_notes",
    "with_overrides",
]
