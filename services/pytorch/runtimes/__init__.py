"""Scripts that run exported files, each with `load`.

`shared/exports/runner.py` runs them by their paths.
"""
