"""Unix sockets, over which processes of one machine reach a server faster than over TCP."""

from pathlib import Path

import structlog
from aiohttp import web

from shared.web.server_processes import BACKLOG

log = structlog.get_logger()


async def listen_on_unix_socket(runner: web.ServerRunner, path: Path) -> None:
    """Listen on a Unix socket, which replaces the one of an earlier process. Only this user may connect."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        await web.UnixSite(runner, str(path), backlog=BACKLOG).start()
        path.chmod(0o600)
    except OSError as error:  # for example, a file system without sockets: clients use TCP
        log.warning("no Unix socket", path=str(path), reason=str(error))
