"""The gateway's process: `python -m services.gateway`."""

import sys
from functools import partial

from services.gateway.app import create_app
from services.gateway.context import Context
from services.gateway.front import Front
from shared.server import serve
from shared.settings import Settings


def load_app(settings: Settings) -> Front:
    """Called in the server's worker process."""
    context = Context.from_settings(settings)
    return Front(create_app(context), context)


def main() -> int:
    settings = Settings.from_env()
    serve(partial(load_app, settings), settings, settings.gateway_port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
