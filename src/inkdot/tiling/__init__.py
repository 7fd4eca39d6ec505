"""Foreground of a slide, its tiles and their training targets.

- ``cut_slide``: from a slide to its tiles; the entry point.
- ``foreground``: foreground, glass and artefacts, at the scale of the mask.
- ``clusters``: nuclei, clusters of nuclei, and tiles centred on them.
- ``tile_table``: tiles on a grid, and the tile table; ``tile_pixels``: the pixels of tiles.
- ``tile_labels``: training targets from labels of regions and slides.
- ``adequacy``: whether the material of a slide is adequate.
- ``mask_image``: the image of foreground, artefacts and tiles.
- ``coverage``, ``polygon_overlap``: overlap of tiles with masks and polygons.
"""
