"""Searches and releases: jobs that are made of other jobs. They use only the public API."""
