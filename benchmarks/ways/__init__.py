"""Several programs for the same training: the article's, the usual one, the fastest one, and Tandem's own.

Each is a function that takes the name of a network and a clock. It prepares data and model, and then trains forever. It
tells the clock when an epoch begins and ends. An epoch includes its evaluation on the test split and its output.
"""
