"""Planted defects: do the gates of a release refuse what should not be released, and pass what should?"""
