"""The gallery page, its card images and the worklist."""
