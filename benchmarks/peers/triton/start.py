"""Start Triton from the wheel `nvidia-pytriton`, with its Python backend and one model for each network.

    python start.py <folder> <port> <network>...

The wheel contains the server, its Python backend, and for each version of Python the program in which the backend runs
a model. The backend expects that program beside its library, so the folder gets copies of both. The process becomes
the server.
"""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

PEER = Path(__file__).parent
STUB = "triton_python_backend_stub"


def main(folder: Path, port: str, networks: list[str]) -> None:
    """Make the backend's folder and the models' folder, and execute the server.

    Args:
        folder: an empty folder, or none.
        port: answers HTTP on 127.0.0.1. There is no gRPC.
        networks: the names of the models.
    """
    packages = Path(sysconfig.get_path("purelib"))
    triton = packages / "pytriton/tritonserver"
    backends, models = folder / "backends", folder / "models"
    shutil.copytree(triton / "backends/python", backends / "python")
    shutil.copy(triton / "python_backend_stubs" / sysconfig.get_python_version() / STUB, backends / "python")
    for network in networks:
        (models / network / "1").mkdir(parents=True)
        shutil.copy(PEER / "config.pbtxt", models / network)
        shutil.copy(PEER / "model.py", models / network / "1")
    libraries = [sysconfig.get_config_var("LIBDIR"), str(packages / "nvidia_pytriton.libs")]
    # Python's program starts without this environment's packages.
    paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
    environ = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries), "PYTHONPATH": ":".join(paths)}
    command = [str(triton / "bin/tritonserver"), f"--model-repository={models}", f"--backend-directory={backends}"]
    command += ["--http-address=127.0.0.1", f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false"]
    command += ["--exit-timeout-secs=5"]
    os.execve(command[0], command, environ)  # noqa: S606 - a fixed command


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
