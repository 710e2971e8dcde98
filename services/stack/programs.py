"""The configuration of supervisor for one process of the stack."""

import shlex
from collections.abc import Iterator, Mapping

END_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM")
"""Begins the command of each service, which then replaces setpriv: the kernel sends it SIGTERM when supervisor ends."""


def describe_program(
    name: str, command: list[str], environ: Mapping[str, str] | None = None, priority: int = 10, once: bool = False
) -> Iterator[str]:
    """Yield the lines of supervisor's configuration for one process.

    Args:
        environ: variables that only this process gets.
        priority: programs with a lower number are started first and stopped last.
        once: do not start the process again when it ends.
    """
    yield f"[program:{name}]"
    yield f"command={_escape(shlex.join([*END_WITH_PARENT, *command]))}"
    if environ:
        # Supervisor reads a text between two quotes as it is, so a text may contain the other kind of quotes.
        quoted = {variable: f"'{text}'" if '"' in text else f'"{text}"' for variable, text in environ.items()}
        yield "environment=" + ",".join(f"{variable}={_escape(text)}" for variable, text in quoted.items())
    yield f"priority={priority}\nstopwaitsecs=8\nstopasgroup=false\nkillasgroup=true"
    yield "stdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\nredirect_stderr=true"
    yield "autorestart=false\nstartsecs=0" if once else "autorestart=true\nstartsecs=1\nstartretries=1000000"


def _escape(text: str) -> str:
    """Return a text with every percent sign doubled, because supervisor replaces `%(name)s`."""
    return text.replace("%", "%%")
