"""The `tandem` command: a client of the gateway's HTTP API."""

__version__ = "0.1.0"
