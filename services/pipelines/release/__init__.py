"""Releases: the gates that a version passes before `stable` moves to it. `release.py` begins here."""
