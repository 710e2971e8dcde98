"""Errors of the command. Each has the exit status with which the command ends.

ClientError                1  the server refused the request, or a job did not succeed
├── MissingError           1  the server does not have what the path names
├── UnreachableError       3  nothing answers at the server's URL
└── NotAllowedError        4  the access token is missing, unknown, or has too few scopes
"""

import click

EXIT_INTERRUPTED = 130


class InputError(click.ClickException):
    """A file or value that the user named cannot be used. The exit status is that of wrong usage."""

    exit_code = 2

    def format_message(self) -> str:
        """Return the message without control characters, because names of files may have some."""
        from .output import clean

        return clean(self.message)


class ClientError(Exception):
    """The gateway refused a request, or a job did not succeed. The message is written for the user.

    Attributes:
        exit_code: the exit status of the command.
    """

    exit_code = 1


class MissingError(ClientError):
    """The server answered 404 with its reason."""


class UnreachableError(ClientError):
    """No server answers at the URL."""

    exit_code = 3


class NotAllowedError(ClientError):
    """The server answered 401 or 403."""

    exit_code = 4
