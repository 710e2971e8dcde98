"""Measures how cost grows with trainings, models, versions, data, requests and watchers. `__main__.py` runs it."""
