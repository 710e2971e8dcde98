"""The programs and the requests of docs/tutorial.md work as printed."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.stack.stack import Stack, python_of
from shared.data import datasets
from shared.data.datasets import SplitName
from shared.settings import Settings
from tests.stack.documents import ADDRESS, read_examples, require_curl, run_shell, run_until_ended

pytestmark = pytest.mark.stack

TUTORIAL = "docs/tutorial.md"
TIMEOUT_S = 120

# What runs before a program: Keras gets the small dataset that lies beside it and downloads nothing; torchvision gets
# the operators that it misses beside a CPU build of torch.
BEFORE = {
    "tensorflow": "import keras, numpy\nd = numpy.load('mnist.npz')\n"
    "keras.datasets.mnist.load_data = lambda: ((d['x_train'], d['y_train']), (d['x_test'], d['y_test']))\n",
    "pytorch": "import services.pytorch.vision\n",
}

# Several threads wait for each other on a busy machine.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def read_programs() -> dict[str, str]:
    """Return the tutorial's programs. Each consists of all blocks with one title, such as `pytorch-2021`."""
    blocks = re.findall(r"^```python ([\w-]+)\n(.*?)^```$", Path(TUTORIAL).read_text(), re.DOTALL | re.MULTILINE)
    return {title: "\n".join(text for name, text in blocks if name == title) for title, _ in blocks}


def write_small_mnist(folder: Path) -> None:
    """Write digits, enlarged to 28 x 28 pixels, as Keras and torchvision store MNIST."""
    settings = Settings.from_env({})
    digits = datasets.find("digits", settings)
    raw = folder / "data/MNIST/raw"
    raw.mkdir(parents=True)
    arrays: dict[str, NDArray[np.uint8]] = {}
    splits: tuple[tuple[SplitName, str], ...] = (("train", "train"), ("test", "t10k"))
    for split, kind in splits:
        data = datasets.read(digits, split, settings)
        images = np.pad(data.images[..., 0].repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))
        labels = data.labels.astype(np.uint8)
        count = len(labels).to_bytes(4, "big")
        side = (28).to_bytes(4, "big")
        (raw / f"{kind}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + count + side + side + images.tobytes())
        (raw / f"{kind}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count + labels.tobytes())
        arrays |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(folder / "mnist.npz", **arrays)


@pytest.mark.parametrize("title", sorted(read_programs()))
def test_a_program_of_the_tutorial_trains_and_classifies(title: str, tmp_path: Path) -> None:
    write_small_mnist(tmp_path)
    backend = title.partition("-")[0]
    # Few steps on few pictures would show no success, so each program takes more epochs and larger steps.
    program = read_programs()[title].replace("range(2)", "range(20)").replace("epochs=2", "epochs=20")
    program = program.replace("0.01", "0.5")
    file = tmp_path / "program.py"  # tf.function compiles the source code of a function, so it needs a file
    file.write_text(BEFORE[backend] + program)
    ran = subprocess.run(
        [*python_of(backend), str(file)],
        cwd=tmp_path,
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(Path.cwd()), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    accuracies = re.findall(r"^accuracy: (\S+)$", ran.stdout, re.MULTILINE)
    assert [float(accuracy) > 0.8 for accuracy in accuracies] == [True], ran.stdout
    test_label = np.load(tmp_path / "mnist.npz")["y_test"][0]
    last_line = ran.stdout.splitlines()[-1]
    assert int(last_line) == test_label, ran.stdout


def test_the_p_values_of_the_tutorial_are_those_of_its_table() -> None:
    (function,) = re.findall(
        r"^```python pytorch-today\n(from math.*?)^```$", Path(TUTORIAL).read_text(), re.DOTALL | re.MULTILINE
    )
    printed = subprocess.run(["python3", "-c", function], capture_output=True, text=True, check=True).stdout.split()
    rows = re.findall(r"^\| (\d+) \| (\d+) \| 2 \| ([\d.]+) \|", Path(TUTORIAL).read_text(), re.MULTILINE)
    assert printed == [p_value for _, _, p_value in rows]


def test_the_requests_of_the_tutorial_are_answered_as_it_says(stack: Stack, tmp_path: Path) -> None:
    require_curl()
    (tmp_path / "samples").symlink_to(Path("samples").absolute())
    identity = ""  # of the job submitted last; the tutorial writes <id>
    answers: list[dict] = []
    for example in read_examples(TUTORIAL):
        if not example.command.startswith("curl"):
            continue
        command = example.command.replace(ADDRESS, stack.url)
        if "<id>" in command:
            printed = run_until_ended(command.replace("<id>", identity))
        else:
            printed = run_shell(command, tmp_path)
        if printed:
            answers.append(json.loads(printed))
            identity = answers[-1].get("id", identity)
    assert [answer["status"] for answer in answers if "status" in answer] == ["queued", "succeeded"] * 2
    assert {result["class"] for result in answers[-1]["images"][0]["results"].values()} == {"7"}
    assert (tmp_path / "tutorial.safetensors").stat().st_size > 0
