"""A search: trials of a training in every backend, and the best one published."""
