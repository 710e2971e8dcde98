"""The gateway's process: `python -m services.gateway`."""

import sys
from functools import partial

from services.gateway.app import create_app
from services.gateway.context import Context
from services.gateway.routes import open_inference, predictions
from shared.settings import Settings
from shared.web.server import HttpServer, serve

THREADS = 16  # most wait for a backend or for Redis


def load_app(settings: Settings) -> HttpServer:
    """Called in the server's worker process."""
    context = Context.from_settings(settings)
    return HttpServer(
        create_app(context), open_inference.direct(context) | predictions.direct(context), THREADS, context.start
    )


def main() -> int:
    settings = Settings.from_env()
    serve(partial(load_app, settings), settings, settings.gateway_port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
