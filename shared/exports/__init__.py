"""Exports: published models as files that run without Tandem, and the check of every file before it is given out."""
