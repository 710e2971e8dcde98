"""PyTorch's own index of CPU wheels, as arguments for pip, if it answers.

    TORCH_INDEX=<url> python3 services/pytorch/index.py

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
        print("TORCH_INDEX is empty: torch comes from the general index", file=sys.stderr)
        return []
    try:
        with urllib.request.urlopen(index.rstrip("/") + "/", timeout=TIMEOUT_S):  # noqa: S310 - the user's own URL
            return ["--extra-index-url", index]
    except urllib.error.HTTPError:
        return ["--extra-index-url", index]  # it answers, if only to say that it lists nothing there
    except (OSError, ValueError):
        print(f"{index} does not answer: torch comes from the general index", file=sys.stderr)
        return []


if __name__ == "__main__":
    print(*pip_arguments())
