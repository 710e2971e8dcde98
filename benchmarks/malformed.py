"""500 pictures that are none: each is to be refused at once, and to leave no memory behind.

    python -m benchmarks.malformed

Hazards by hand (files cut off, bombs, animations, other formats), and good files with bytes changed; such a file may
still be a picture, and counts only if a decoder of its own refuses it.
"""

import io
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import requests
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.serving import running
from benchmarks.stack import running_stack

COUNT = 500
SEED = 0
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *parts: bytes, depth: int = 8, colour: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + chunk(b"IEND", b"")


def hazards() -> dict[str, bytes]:
    """Files by what is wrong with them."""
    grey = Image.linear_gradient("L")
    good = {kind: encoded(grey, kind) for kind in FORMATS}
    cut = {f"{kind} cut to {share:.0%}": data[: int(len(data) * share)] for kind, data in good.items() if kind != "BMP"
           for share in (0.02, 0.3, 0.6)}  # fmt: skip
    frames = {"save_all": True, "append_images": [Image.new("L", grey.size)], "duration": 9}
    bomb = zlib.compress(bytes(13_001 * 13_000))
    return {
        "nothing": b"",
        "one byte": b"\x89",
        "text": b"seven",
        "HTML": b"<!doctype html><img src=x>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "zeros": bytes(10_000),
        **cut,
        **{f"a {kind}": encoded(grey, kind) for kind in ("GIF", "TIFF", "PPM", "ICO", "TGA", "PCX", "PDF")},
        **{f"an animated {kind}": encoded(grey, kind, **frames) for kind in ("PNG", "WEBP", "GIF")},
        "a bomb of 13,000 x 13,000": png(13_000, 13_000, chunk(b"IDAT", bomb)),
        "a header of 2 thousand million square": png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", b"")),
        "a header of nothing": png(0, 0, chunk(b"IDAT", b"")),
        "a PNG without data": png(9, 9),
        "a PNG of no depth": png(9, 9, chunk(b"IDAT", zlib.compress(bytes(90))), depth=3),
        "a PNG with a text bomb": png(9, 9, chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"IDAT", zlib.compress(bytes(90)))),
        "a BMP of another size": good["BMP"][:18] + struct.pack("<ii", 60_000, 60_000) + good["BMP"][26:],
        "a JPEG of many scans": many_scans(),
    }


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes 500 times: small to send, long to decode."""
    data = encoded(Image.new("L", (7000, 7000), 200), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


def is_picture(data: bytes) -> bool:
    """Whether a decoder that is asked for nothing but these formats makes a single, small picture of it."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            return image.width * image.height <= 50_000_000
    except Exception:
        return False


def malformed(count: int = COUNT, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """Hazards first, then good files with one to sixteen bytes changed, that are pictures no more."""
    known = hazards()
    yield from known.items()
    chance = random.Random(seed)
    image = Image.radial_gradient("L").resize((64, 64))
    good = {kind: encoded(image, kind) for kind in FORMATS}
    left = count - len(known)
    while left > 0:
        kind = chance.choice(FORMATS)
        data = bytearray(good[kind])
        for _ in range(chance.randint(1, 16)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if not is_picture(bytes(data)):
            left -= 1
            yield f"{kind} with bytes changed", bytes(data)


def main() -> int:
    statuses: Counter[int] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        url = f"{client.url}/v1/predictions?model=welcome"
        while "welcome" not in [model["name"] for model in client.get("/v1/models")["models"]]:
            time.sleep(0.2)
        requests.post(url, encoded(Image.linear_gradient("L"), "PNG"), timeout=30)
        before = gateways_bytes()
        for name, data in malformed():
            begun = time.perf_counter()
            answer = requests.post(url, data, headers={"Content-Type": "image/png"}, timeout=60)
            slowest = max(slowest, (time.perf_counter() - begun, name))
            statuses[answer.status_code] += 1
            if not 400 <= answer.status_code < 500 or not answer.json()["detail"]:
                Console().print(f"{name}: {answer.status_code} {answer.text[:200]}")
        grown = gateways_bytes() - before
    table = Table("", "", title=f"{statuses.total()} malformed pictures, one after the other")
    table.add_row("statuses", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    table.add_row("slowest", f"{slowest[0]:.2f} s ({slowest[1]})")
    table.add_row("the gateway's memory grew by", f"{grown / 1e6:.0f} MB")
    Console().print(table)
    return 0


def gateways_bytes() -> int:
    """What the gateway that this process has started holds in memory."""
    (pid,) = running("services.gateway")
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
