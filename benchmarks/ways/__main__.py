"""Run one of the programs in a process of its own. It trains one epoch for each line on standard input.

.venv/<backend>/bin/python -m benchmarks.ways <backend> <way> <network>
"""

import sys
from importlib import import_module

from benchmarks.ways.given import Clock

if __name__ == "__main__":
    backend, way, network = sys.argv[1:]
    clock = Clock()
    module = import_module(f"benchmarks.ways.{backend}")
    clock.answer(**module.versions())
    module.WAYS[way](network, clock)
