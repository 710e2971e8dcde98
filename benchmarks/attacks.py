"""Measure how much other clients notice while four connections attack the gateway.

    .venv/test/bin/python -m benchmarks.attacks [--seconds 10] [--connections 4] [--only NAME ...]

Each attack needs no token. It runs in a process of its own with one thread per connection. Meanwhile one client posts a
picture of 28 x 28 pixels again and again, and another one asks whether the gateway is alive. The table shows their
latencies, the largest resident memory of the gateway, and which statuses the attacker got.
"""

import argparse
import contextlib
import gzip
import http.client
import multiprocessing
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import requests
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.malformed import encode_picture, png_chunk, png_file
from benchmarks.processes import find_child_processes, read_peak_memory_mb
from benchmarks.stack import running_stack
from benchmarks.stall import MODEL, SMALL_PICTURE, wait_for_model

HEALTH_EVERY_S = 0.05
ANSWER_TIMEOUT_S = 60
PREDICTIONS = f"/v1/predictions?model={MODEL}"
TRAININGS = "/v1/trainings"
JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
ANNOUNCED = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
HEADERS_PER_CONNECTION = 25  # connections of the attack with slow headers, for each thread

Statuses = Counter[str]
Attack = Callable[[int, Event, Statuses], None]


def post_again_and_again(path: str, media_type: str, *bodies: bytes, encoding: str = "identity") -> Attack:
    """Return an attack that posts bodies, one after the other.

    Args:
        encoding: how the bodies are compressed, for the header `Content-Encoding`.
    """
    headers = {"Content-Type": media_type, "Content-Encoding": encoding}

    def attack(port: int, stop: Event, statuses: Statuses) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
        while not stop.is_set():
            for body in bodies:
                try:
                    connection.request("POST", path, body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    statuses[str(answer.status)] += 1
                except (OSError, http.client.HTTPException) as error:
                    statuses[type(error).__name__] += 1
                    connection.close()

    return attack


def trickle(head: bytes, piece: bytes, pause_s: float, count: int = 1) -> Attack:
    """Return an attack that begins requests and then sends pieces of them without an end.

    Args:
        head: sent at once.
        piece: sent again and again.
        pause_s: between two pieces.
        count: connections that each thread keeps open.
    """

    def attack(port: int, stop: Event, statuses: Statuses) -> None:
        connections: list[socket.socket] = []
        while not stop.is_set():
            while len(connections) < count:
                connections.append(socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT_S))
                connections[-1].sendall(head)
            stop.wait(pause_s)
            for connection in list(connections):
                try:
                    connection.sendall(piece)
                except OSError:
                    status = b"closed"
                    with contextlib.suppress(OSError):
                        status = connection.recv(65536)[9:12] or status
                    statuses[status.decode()] += 1
                    connections.remove(connection)
        for connection in connections:
            connection.close()

    return attack


def form_of(*files: bytes) -> bytes:
    """Return a form with files."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n%s\r\n'
    return b"".join(part % file for file in files) + b"--x--\r\n"


def form_of_fields(count: int) -> bytes:
    """Return a form with many fields and no file."""
    return b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n' * count + b"--x--\r\n"


def blank(mode: str, side: int, kind: str = "PNG", **options: object) -> bytes:
    """Return a picture of one colour as a file, which is small."""
    return encode_picture(Image.new(mode, (side, side)), kind, **options)


def exif_bomb() -> bytes:
    """Return a PNG whose EXIF data have 20,000 entries that all refer to the same 240 kB."""
    count = 20_000
    entries = b"".join(struct.pack("<HHII", tag, 1, 12 * count, 8) for tag in range(1, count + 1))
    exif = b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)
    return png_file(28, 28, png_chunk(b"eXIf", exif), png_chunk(b"IDAT", zlib.compress(bytes(28 * 29))))


def profile_bombs() -> bytes:
    """Return a PNG with 3,000 colour profiles that inflate to a megabyte each."""
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6)))
    return png_file(28, 28, *[profile] * 3000, png_chunk(b"IDAT", zlib.compress(bytes(28 * 29))))


def do_nothing(port: int, stop: Event, statuses: Statuses) -> None:
    """Do not attack."""


def picture(make: Callable[[], bytes]) -> Callable[[], Attack]:
    """Return how to make an attack with one picture."""
    return lambda: post_again_and_again(PREDICTIONS, "image/png", make())


def form(make: Callable[[], bytes]) -> Callable[[], Attack]:
    """Return how to make an attack with one form."""
    return lambda: post_again_and_again(PREDICTIONS, FORM, make())


BODY = ANNOUNCED % (PREDICTIONS.encode(), 64 * 2**20)
CHUNKED = BODY.replace(b"Content-Length: %d" % (64 * 2**20), b"Transfer-Encoding: chunked")
ATTACKS: dict[str, Callable[[], Attack]] = {
    "nothing": lambda: do_nothing,
    "PNG of 5,400 x 5,400": picture(lambda: blank("1", 5400)),
    "WebP of 7,000 x 7,000": picture(lambda: blank("RGB", 7000, "WEBP", lossless=True)),
    "WebP of 3,900 x 3,900": picture(lambda: blank("RGB", 3900, "WEBP", lossless=True)),
    "progressive JPEG of 6,000 x 6,000": picture(lambda: blank("RGB", 6000, "JPEG", progressive=True)),
    "EXIF with 20,000 references": picture(exif_bomb),
    "3,000 profiles that inflate": picture(profile_bombs),
    "TIFF of 7,000 x 7,000": picture(lambda: blank("L", 7000, "TIFF", compression="tiff_adobe_deflate")),
    "GIF of 7,000 x 7,000": picture(lambda: blank("P", 7000, "GIF")),
    "JPEG that 8 MB fill up": picture(lambda: b"\xff\xd8" + b"\xff" * 8_000_000 + blank("L", 28, "JPEG")[2:]),
    "JPEG of 2,000,000 comments": picture(
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 2_000_000 + blank("L", 28, "JPEG")[2:]
    ),
    "forms with 8 PNGs of 7,050 x 7,050, mode 1": form(lambda: form_of(*[blank("1", 7050)] * 8)),
    "forms with 8 PNGs of 7,050 x 7,050, mode P": form(lambda: form_of(*[blank("P", 7050)] * 8)),
    "forms with 8 PNGs of 7,050 x 7,050, mode L": form(lambda: form_of(*[blank("L", 7050)] * 8)),
    "forms with 64 PNGs of 1,200 x 1,200": form(lambda: form_of(*[blank("L", 1200)] * 64)),
    "forms with 1,000 fields": form(lambda: form_of_fields(1000)),
    "JSON 200,000 deep": lambda: post_again_and_again(TRAININGS, JSON, b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000),
    "tensors 30,000 deep": lambda: post_again_and_again(f"/v2/models/{MODEL}/infer", JSON, b'{"inputs":' * 30_000),
    "queries with 15,000 fields": lambda: post_again_and_again(PREDICTIONS + "&a" * 15_000, "image/png", b"x"),
    "bodies of 64 MB": lambda: post_again_and_again(PREDICTIONS, "image/png", bytes(64 * 2**20)),
    "bodies that unpack to 64 MB": lambda: post_again_and_again(
        PREDICTIONS, "image/png", gzip.compress(bytes(64 * 2**20)), encoding="gzip"
    ),
    "bodies of spaces that could be Base64": lambda: post_again_and_again(
        PREDICTIONS, "text/plain", b"iVBORw0KGgo" + b" " * 2**20 + b"!"
    ),
    "bodies announced, not sent": lambda: trickle(BODY, b"", 1),
    "bodies of 10 bytes a second": lambda: trickle(BODY, b"x", 0.1),
    "bodies of tiny chunks": lambda: trickle(CHUNKED, b"1\r\nx\r\n" * 10_000, 0),
    "headers of 10 bytes a second": lambda: trickle(b"POST / HTTP/1.1\r\n", b"X", 0.1, HEADERS_PER_CONNECTION),
}


@dataclass
class Latencies:
    """How long requests took.

    Attributes:
        predictions_ms: of small predictions, float64 [N].
        health_ms: of questions for the gateway's health, float64 [M].
        failures: how many of both got no answer, or another one than 200.
    """

    predictions_ms: np.ndarray
    health_ms: np.ndarray
    failures: int


def measure(url: str, seconds: float) -> Latencies:
    """Post small pictures and ask for the gateway's health at the same time."""
    found: dict[str, list[float]] = {"predict": [], "health": []}
    failures: list[str] = []
    end = time.perf_counter() + seconds
    picture = SMALL_PICTURE.read_bytes()

    def repeat(key: str, send: Callable[[requests.Session], requests.Response], pause_s: float) -> None:
        with requests.Session() as session:
            while time.perf_counter() < end:
                started = time.perf_counter()
                try:
                    send(session).raise_for_status()
                except requests.RequestException as error:
                    failures.append(str(error))
                found[key].append((time.perf_counter() - started) * 1000)
                time.sleep(pause_s)

    headers = {"Content-Type": "image/png"}
    threads = [
        threading.Thread(
            target=repeat,
            args=("predict", lambda session: session.post(f"{url}{PREDICTIONS}", picture, headers=headers), 0.002),
        ),
        threading.Thread(
            target=repeat, args=("health", lambda session: session.get(f"{url}/v2/health/live"), HEALTH_EVERY_S)
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Latencies(np.array(found["predict"]), np.array(found["health"]), len(failures))


def run_attack(
    name: str, port: int, connections: int, begun: Event, stop: Event, results: "multiprocessing.Queue[Statuses]"
) -> None:
    """Attack over some connections until `stop` is set. This is the attacking process."""
    attack = ATTACKS[name]()
    statuses: Statuses = Counter()
    threads = [threading.Thread(target=attack, args=(port, stop, statuses), daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    begun.set()
    stop.wait()
    for thread in threads:
        thread.join(5)
    results.put(statuses)


def forget_peak_memory(pids: list[int]) -> None:
    """Let the kernel measure the peak of resident memory anew: proc_pid_clear_refs(5)."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each attack")
    parser.add_argument("--connections", type=int, default=4, help="that attack")
    parser.add_argument("--only", nargs="*", default=[], help="words in the names of attacks")
    arguments = parser.parse_args()
    columns = (
        "attack",
        "predictions",
        "p50 ms",
        "p99 ms",
        "health p99 ms",
        "failed",
        "memory MB",
        "attacker's answers",
    )
    table = Table(title=f"{arguments.connections} connections attack, {arguments.seconds:g} s each")
    for column in columns:
        table.add_column(column, justify="left" if column.startswith("attack") else "right")
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as state, running_stack(Path(state)) as (client, settings):
        wait_for_model(client)
        measure(client.url, 3)  # the first requests load the model
        gateway = find_child_processes("services.gateway")
        for name in ATTACKS:
            if arguments.only and not any(word in name for word in arguments.only):
                continue
            forget_peak_memory(gateway)
            begun, stop, results = spawn.Event(), spawn.Event(), spawn.Queue()
            options = (name, settings.gateway_port, arguments.connections, begun, stop, results)
            attacker = spawn.Process(target=run_attack, args=options)
            attacker.start()
            begun.wait()
            latencies = measure(client.url, arguments.seconds)
            memory_mb = read_peak_memory_mb(gateway)
            stop.set()
            statuses = results.get()
            attacker.join()
            p50, p99 = np.quantile(latencies.predictions_ms, [0.5, 0.99])
            figures = (len(latencies.predictions_ms), p50, p99, np.quantile(latencies.health_ms, 0.99))
            answers = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
            row = (name, *(f"{figure:,.0f}" for figure in figures), str(latencies.failures), f"{memory_mb:,.0f}")
            table.add_row(*row, answers)
            print(*row, answers, sep=" | ", flush=True)
            time.sleep(3)  # the gateway ends the attacker's requests
    Console(width=170).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
