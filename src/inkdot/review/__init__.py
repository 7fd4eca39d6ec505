"""Review by a pathologist: ranked regions, a worklist, the gallery page, files for QuPath, and verdicts.

Pure functions on tables, arrays and records. The stages open slides and pass pixels in.
"""
