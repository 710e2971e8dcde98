"""Print arguments that make pip install a CPU build of torch.

    TORCH_INDEX=<url> python3 services/pytorch/wheel_index.py

On the general package index, torch comes with gigabytes of CUDA libraries.
PyTorch's own index has CPU builds. If it cannot be reached, pip waits many
seconds for each package. So this module asks the index once, and leaves it
out if there is no response. It runs before any environment exists, and so it
uses the standard library only.
"""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 3


def pip_arguments() -> list[str]:
    """Return the arguments to add to `pip install`.

    The list is empty if TORCH_INDEX is empty or does not respond in time. The
    reason is then printed on standard error.
    """
    index = os.environ.get("TORCH_INDEX", "")
    if not index:
        return _none("TORCH_INDEX is empty")
    arguments = ["--extra-index-url", index]
    try:
        with urllib.request.urlopen(index, timeout=TIMEOUT_S):
            return arguments
    except urllib.error.HTTPError:
        return arguments  # a response, even if it refuses a listing
    except (OSError, ValueError):
        return _none(f"{index} does not answer")


def _none(reason: str) -> list[str]:
    print(f"{reason}: torch comes from the general index", file=sys.stderr)
    return []


if __name__ == "__main__":
    print(*pip_arguments())
