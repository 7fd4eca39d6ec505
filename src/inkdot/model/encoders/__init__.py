"""Encoders: which backbones there are, how they are built, and how files of their weights are read.

- ``recipes``: published encoders with their architecture, normalisation, scale and licence; needs no network library.
- ``backbone_spec``: what is needed to rebuild a backbone, as ``model.json`` records it.
- ``resolve``: from the name in ``model.backbone`` to a specification.
- ``build``: from a specification to a module.
- ``fitting``: whether a backbone can take a tile, by one forward pass without memory.
- ``weights_file``: files of weights of other programs.
- ``tensor_names``: names of other programs to timm's.
"""
