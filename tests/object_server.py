"""A real object store for tests: SeaweedFS on loopback, with the protocol S3."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import requests

from services.stack.stack import free_ports
from shared.process import end_with_parent
from tests.polling import wait_until

BUCKET = "tandem"
KEY, SECRET = "tandem", "tandem-secret"
START_TIMEOUT_S = 600
PROBE = f"""
from shared.object_store import ObjectStore
store = ObjectStore("s3://{BUCKET}")
try:
    store.get("probe")
except OSError:  # neither the object nor the bucket exists yet
    pass
store.put("probe", b"x")  # makes the bucket, too
assert store.get("probe") == b"x"
"""
PARTS = ("master", "volume", "filer", "s3")


class ObjectServer:
    """A SeaweedFS server with the bucket `tandem`.

    Args:
        folder: see the attribute.
        address: the address of this machine on which it listens.

    Attributes:
        folder: its data and its log.
        url: where it answers.
        environ: the variables that a client of it needs.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder = folder
        self._address = address
        folder.mkdir(parents=True, exist_ok=True)
        options = [f"{part}.{port}" for part in PARTS for port in ("port", "port.grpc")]
        self._ports = dict(zip(options, free_ports(len(options)), strict=True))
        self.url = f"http://{address}:{self._ports['s3.port']}"
        self.environ = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server on its ports and with the data that it has, and wait until it answers."""
        identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        options: dict[str, object] = dict(self._ports)
        options |= {
            "dir": self.folder,
            "ip": self._address,
            "ip.bind": self._address,
            "s3": "true",
            "s3.config": self.folder / "s3.json",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 0,
        }
        program = Path(sys.executable).with_name("weed")
        command = [str(program), "server", *(f"-{name}={value}" for name, value in options.items())]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=_end_with_tests)  # noqa: PLW1509
        wait_until(self._answers, message=self._read_log, timeout_s=START_TIMEOUT_S)
        wait_until(self._stores, message=self._read_log, timeout_s=START_TIMEOUT_S)

    def send(self, signum: signal.Signals) -> None:
        """Send the server a signal. After a deadly one, wait until it has ended."""
        assert self._process is not None
        self._process.send_signal(signum)
        if signum in (signal.SIGTERM, signal.SIGKILL):
            self._process.wait(60)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._read_log()
        return requests.get(self.url, timeout=5).status_code == 403  # it lists no buckets without credentials

    def _stores(self) -> bool:
        """Return whether the part of the server that has the objects answers, too. It starts last.

        A process of its own asks: this one may fork others, and must not have used the library then.
        """
        environ = {**os.environ, **self.environ}
        subprocess.run([sys.executable, "-c", PROBE], env=environ, check=True, timeout=120, capture_output=True)
        return True

    def _read_log(self) -> str:
        return f"the object store does not answer: {(self.folder / 'log').read_text(errors='replace')[-2000:]}"


@contextlib.contextmanager
def running_object_server(folder: Path, address: str = "127.0.0.1") -> Iterator[ObjectServer]:
    """Run a server. Meanwhile this process' environment has the variables that a client needs."""
    server = ObjectServer(folder, address)
    before = {name: os.environ.get(name) for name in server.environ}
    server.start()
    os.environ.update(server.environ)
    try:
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.send(signal.SIGCONT)
        server.send(signal.SIGKILL)


def _end_with_tests() -> None:
    end_with_parent(signal.SIGKILL)
