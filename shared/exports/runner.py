"""Runs an exported file in a process of its own, which has neither Tandem nor the framework that trained the model.

    python -I runner.py '{"script", "file", "shape", "batch", "threads", "memory_bytes", "forbidden"}'

Python runs this file by its path and in isolated mode, so that nothing of Tandem can be imported. The script, such as
`runtimes/onnx.py`, has a function `load`: from a file and a number of threads to the runtime's name and a function that
predicts. Images come from stdin as bytes. The runtime's name goes to stdout as a line of JSON, and the probabilities
follow as float32. What the runtime prints goes to stderr.
"""

import ctypes
import json
import os
import resource
import runpy
import signal
import sys
from math import prod

import numpy as np

PR_SET_PDEATHSIG = 1  # of Linux' prctl(2): this process ends with the one that started it


def main(task_text: str) -> None:
    """Answer the images on stdin.

    Args:
        task_text: JSON with these members. `script` is the path of the runtime's script, and `file` that of the export.
            `shape` is the shape of an image, and `batch` is how many are run at once. `threads` is the number of
            threads. The process may allocate `memory_bytes`, and cannot import `forbidden`, a list of modules.
    """
    task = json.loads(task_text)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_DATA, (task["memory_bytes"],) * 2)
    for module in task["forbidden"]:
        sys.modules[module] = None  # type: ignore[assignment] # an import of it raises ModuleNotFoundError
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    name, predict = runpy.run_path(task["script"])["load"](task["file"], task["threads"])
    answers.write(json.dumps(name).encode() + b"\n")
    while data := sys.stdin.buffer.read(task["batch"] * prod(task["shape"])):
        images = np.frombuffer(data, np.uint8).reshape(-1, *task["shape"])
        answers.write(np.asarray(predict(images), "<f4", order="C").tobytes())
        answers.flush()  # whoever reads the answers reports how many there are
    assert not any(sys.modules[module] for module in task["forbidden"])
    answers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
