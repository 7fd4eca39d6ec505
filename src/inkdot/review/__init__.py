"""What the pathologist gets: ranked regions, a worklist, a page to look at, and files for QuPath.

Pure functions on tables, arrays and records. Slides are opened by the stage, which hands pixels over.
"""
