"""The gateway's process: `python -m services.gateway`."""

import sys

from services.gateway.app import create_server
from services.gateway.context import Context
from shared.settings import Settings
from shared.web.server import serve


def main() -> int:
    """Serve until the process is told to stop."""
    settings = Settings.from_env()
    serve(lambda: create_server(Context.from_settings(settings)), settings, settings.gateway_port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
