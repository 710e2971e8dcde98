"""A click group that imports a command's module only when the command runs, so that `tandem --help` is fast."""

import errno
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from . import __version__
from .errors import EXIT_INTERRUPTED, ClientError, InputError


class LazyCommand(NamedTuple):
    """Where a command is, and its line in `tandem --help`.

    Attributes:
        module: the name of the module in this package.
        attribute: the name of the command in the module.
        help: one short line.
    """

    module: str
    attribute: str
    help: str


class FailedCommand(click.ClickException):
    """Ends the process with a message and the exit status of a ClientError."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc] # click reads it from the instance

    def show(self, file: Any = None) -> None:
        """Print the message to the standard error output, without control characters."""
        from .output import clean

        click.echo(f"{click.style('Error:', fg='red', bold=True)} {clean(self.message)}", file=file, err=True)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed.

    Args:
        lazy: the commands by name, in the order of the help text.
        arguments: those of `click.Group`.
    """

    def __init__(self, *, lazy: dict[str, LazyCommand], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in the order of the help text."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command, and return it. None if there is no such command."""
        if cmd_name not in self._lazy:
            return None
        entry = self._lazy[cmd_name]
        command: click.Command = getattr(import_module(f".{entry.module}", __package__), entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands for the help text, without an import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with what was typed, without an import."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=entry.help) for name, entry in self._lazy.items() if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and turn what went wrong into a message and an exit status.

        Raises:
            click.ClickException: the server refused, its answer is not what the command reads, or a file or the
                output cannot be read or written.
            click.exceptions.Exit: the user pressed Ctrl+C.
        """
        try:
            return super().invoke(ctx)
        except ClientError as error:
            raise FailedCommand(error) from None
        except (LookupError, TypeError, AttributeError) as error:
            advice = f"Is this the address of Tandem, and of the version of this command, {__version__}?"
            server = getattr(ctx.obj, "url", "the server")
            reason = f"the answer of {server} is not as expected ({type(error).__name__}: {error}). {advice}"
            raise FailedCommand(ClientError(reason)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends silently when the reader of a pipe has ended
            raise InputError(f"{error.filename or 'the output'} cannot be used: {error.strerror}") from None
        except KeyboardInterrupt:
            click.echo(err=True)
            raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
