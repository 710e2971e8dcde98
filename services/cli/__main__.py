"""Runs the `tandem` command. It uses only the gateway's HTTP API."""

from .app import main

if __name__ == "__main__":
    main(prog_name="tandem")
