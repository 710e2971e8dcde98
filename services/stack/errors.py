"""The error of everything in this package that starts processes."""


class StackError(Exception):
    """The stack cannot start. The message says what to change."""
