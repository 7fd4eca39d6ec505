"""The tables between stages: columns, versions, and how each is read and written."""
