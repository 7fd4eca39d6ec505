"""Everything that prediction needs of a model. Training is in :mod:`inkdot.training`.

- ``model_folder``: a model on disk.
- ``predictor``: from tiles to calibrated scores; the entry point.
- ``network``: a timm backbone with a linear classifier per head.
- ``encoders``: backbones by name, recipes of published encoders, and files of their weights.
- ``attention``: gated attention over the tiles of a slide.
- ``torch_backend``, ``openvino_backend``: run the network in batches.
- ``batches``: batch sizes, and the output of a batch.
- ``precision``: float32 or bfloat16, by model and machine.
- ``ood_reference``: embeddings of training tiles, for out-of-distribution distances.
- ``targets``: columns of logits and targets by head.
- ``export``, ``export_wrappers``: ONNX, OpenVINO and WSInfer files.
"""
