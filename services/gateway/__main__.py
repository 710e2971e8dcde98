"""The gateway's process: `python -m services.gateway`.

The parent process listens, and child processes serve. `shared/web/server_processes.py` explains why. If there are
several, they share what `shared_state.py` lists.
"""

import gc
import os
import sys
from collections.abc import Callable

from services.gateway.shared_state import SharedState
from shared.logs import configure_logs
from shared.settings import Settings
from shared.web.server_processes import ServerProcesses, open_listeners


def main() -> int:
    """Serve until the process is told to stop; return the exit status."""
    settings = Settings.from_env()
    configure_logs(settings.logs)
    try:
        listeners = open_listeners(settings.bind_host, settings.gateway_port)
    except OSError as error:
        address = f"{settings.bind_host}, port {settings.gateway_port}"
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror  # else the name of the host is unknown
        print(f"Tandem's gateway cannot listen on {address}: {reason}", file=sys.stderr)
        return 1
    shared = SharedState(settings.gateway_processes) if settings.gateway_processes > 1 else None

    def serve_requests(on_alive: Callable[[], None]) -> None:
        # Imported in the child only: the parent needs neither the memory nor the time.
        if shared:
            on_alive = _join_metrics(shared, on_alive)
        from services.gateway.app import create_server
        from services.gateway.context import Context
        from shared.web.server import serve

        serve(
            lambda: create_server(Context.from_settings(settings, shared)),
            settings,
            settings.gateway_port,
            listeners,
            on_alive,
        )

    gc.freeze()  # so that a collection in a child copies no page that it shares with the parent
    return ServerProcesses(serve_requests, shared.slots if shared else None).run()


def _join_metrics(shared: SharedState, on_alive: Callable[[], None]) -> Callable[[], None]:
    """Make the metrics of this process part of those of all. No metric may exist yet.

    Returns:
        What has to be called in place of `on_alive`.
    """
    from shared.web.shared_metrics import SharedMetrics

    metrics = SharedMetrics(shared.metrics)

    def publish_and_announce() -> None:
        metrics.publish_garbage()
        on_alive()

    return publish_and_announce


if __name__ == "__main__":
    sys.exit(main())
