"""``model.json`` and the files of a model folder."""
