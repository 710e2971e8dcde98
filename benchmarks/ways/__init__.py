"""The ways to write the same training: the article's, the usual, the tightest, and Tandem's own.

A way is a function of a network's name and a clock. It prepares itself, then trains without end and tells the clock
where an epoch begins and ends: its training, its evaluation on the test split, and what it prints.
"""
