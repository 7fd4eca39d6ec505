"""Processing one slide: tile, score, measure, predict, render.

- ``tile_slide``: foreground, tiles, targets, mask image.
- ``infer_tiles``: the network on the tiles of a slide.
- ``score_slide``, ``score_task``: calibrated scores of the tiles, with everything they were made from.
- ``cluster_slide``, ``cluster_scoring``: scores of clusters of nuclei.
- ``measure_slide``: nuclear measurements of clusters.
- ``slide_prediction``, ``attention_score``: the call of a slide, from its scores.
- ``render_slide``: overview and heat map.
- ``inspect_slide``: checks a slide without writing anything.
- ``batch_settings``, ``guards``, ``dry_run``, ``resume``: what a batch is to do, refuses, would do, has still to do.
- ``adequacy_table``, ``warnings``: summaries over the slides of a batch.
"""
