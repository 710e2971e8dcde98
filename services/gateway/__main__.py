"""The gateway's process: `python -m services.gateway`.

The parent process listens, and a child process serves. `shared/web/server_processes.py` explains why.
"""

import gc
import sys
from collections.abc import Callable

from shared.logs import configure_logs
from shared.settings import Settings
from shared.web.server_processes import ServerProcesses, open_listeners


def main() -> int:
    """Serve until the process is told to stop; return the exit status."""
    settings = Settings.from_env()
    configure_logs(settings.logs)
    listeners = open_listeners(settings.bind_host, settings.gateway_port)

    def serve_requests(on_alive: Callable[[], None]) -> None:
        # Imported in the child only: the parent needs neither the memory nor the time.
        from services.gateway.app import create_server
        from services.gateway.context import Context
        from shared.web.server import serve

        serve(
            lambda: create_server(Context.from_settings(settings)),
            settings,
            settings.gateway_port,
            listeners,
            on_alive,
        )

    gc.freeze()  # so that a collection in a child copies no page that it shares with the parent
    return ServerProcesses(serve_requests).run()


if __name__ == "__main__":
    sys.exit(main())
