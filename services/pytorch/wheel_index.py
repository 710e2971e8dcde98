"""PyTorch's own index of CPU wheels, as arguments for pip, if it answers.

    TORCH_INDEX=<url> python3 services/pytorch/wheel_index.py

From the general index, pip brings a build with gigabytes of CUDA. PyTorch's
own has CPU builds, but an index that cannot be reached costs pip many seconds
a package: so it is asked once, here, and left out when it does not answer.
Standard library alone: it runs before there is any environment.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3


def pip_arguments() -> list[str]:
    """What to add to `pip install`; says on stderr when that is nothing."""
    index = os.environ.get("TORCH_INDEX", "")
    if not index:
        return _none("TORCH_INDEX is empty")
    arguments = ["--extra-index-url", index]
    try:
        with urllib.request.urlopen(index, timeout=TIMEOUT_S):
            return arguments
    except urllib.error.HTTPError:
        return arguments  # it answers, if only to refuse a listing
    except (OSError, ValueError):
        return _none(f"{index} does not answer")


def _none(reason: str) -> list[str]:
    print(f"{reason}: torch comes from the general index", file=sys.stderr)
    return []


if __name__ == "__main__":
    print(*pip_arguments())
