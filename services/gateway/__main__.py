"""The gateway's process: `python -m services.gateway`."""

import sys
from functools import partial

from flask import Flask

from services.gateway.app import create_app
from services.gateway.context import Context
from shared.server import serve
from shared.settings import Settings

THREADS = 16  # most wait for a backend or for Redis


def load_app(settings: Settings) -> Flask:
    """Called in the server's worker process."""
    return create_app(Context.from_settings(settings))


def main() -> int:
    settings = Settings.from_env()
    serve(partial(load_app, settings), settings, settings.gateway_port, THREADS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
