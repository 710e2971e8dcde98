"""Completion for bash and zsh: `tandem completion SHELL`, and the names that a server knows."""

from collections.abc import Callable, Iterable
from typing import Any

import click

from .target import DEFAULT_URL, parse_url, read_token

TIMEOUT_S = 1.0
VARIABLE = "_TANDEM_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash: eval "$(tandem completion bash)"     in ~/.bashrc
    zsh:  eval "$(tandem completion zsh)"      in ~/.zshrc, after compinit
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(context.find_root().command, {}, "tandem", VARIABLE).source())


def _completer(path: str, read_names: Callable[[Any], Iterable[str]]) -> Callable[..., list[str]]:
    """Return a function that completes what the server lists at a path. It completes nothing if no server answers."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from .client import Client, ClientError

        options = context.find_root().params
        try:
            url = parse_url(options.get("url") or DEFAULT_URL)
            token = read_token(options.get("token"), options.get("token_file"))
            names = sorted(read_names(Client(url, token, timeout_s=TIMEOUT_S).get(path)))
        except (ClientError, click.ClickException, LookupError, TypeError):
            return []
        return [name for name in names if name.startswith(incomplete) and name.isprintable()]

    return complete


def _named(key: str) -> Callable[[Any], Iterable[str]]:
    return lambda body: [entry["name"] for entry in body[key]]


complete_model = _completer("/v1/models", _named("models"))
complete_dataset = _completer("/v1/datasets", _named("datasets"))
complete_network = _completer("/v1/networks", _named("networks"))
complete_backend = _completer("/v1/status", lambda body: body["backends"])
