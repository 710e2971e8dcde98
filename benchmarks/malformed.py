"""Post 500 malformed pictures: the gateway should refuse each at once and should not keep memory for it.

    .venv/test/bin/python -m benchmarks.malformed

Some files are made by hand: truncated files, decompression bombs, animations, other formats. The rest are good files
with a few bytes changed. A changed file may still be a picture. It is used only if Pillow refuses what the gateway
keeps of it: colour profiles, texts and the like are left out before Pillow reads a file.
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

from benchmarks.processes import find_child_processes
from benchmarks.stack import running_stack
from shared.data.images import MAX_PIXELS, PICTURE_FORMATS
from shared.data.picture_files import read_structure

COUNT = 500
SEED = 0


def encode_picture(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image as a file of the format that Pillow calls `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG chunk: length, type, content, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """Return a PNG file with any header and any chunks. Nothing checks that they fit together."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def files_made_by_hand() -> dict[str, bytes]:
    """Return malformed files. Each key says what is wrong with the file."""
    grey = Image.linear_gradient("L")
    good = {kind: encode_picture(grey, kind) for kind in PICTURE_FORMATS}
    truncated = {
        f"{kind} cut to {share:.0%}": good[kind][: int(len(good[kind]) * share)]
        for kind in ("PNG", "JPEG", "WEBP")
        for share in (0.02, 0.3, 0.6)
    }
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
        **truncated,
        **{f"a {kind}": encode_picture(grey, kind) for kind in ("PPM", "ICO", "TGA", "PCX", "PDF")},
        **{f"an animated {kind}": encode_picture(grey, kind, **frames) for kind in ("PNG", "WEBP", "GIF")},
        "a bomb of 13,000 x 13,000": png_file(13_000, 13_000, png_chunk(b"IDAT", bomb)),
        "a header of 2,147,483,647 x 2,147,483,647": png_file(2**31 - 1, 2**31 - 1, png_chunk(b"IDAT", b"")),
        "a header of 0 x 0": png_file(0, 0, png_chunk(b"IDAT", b"")),
        "a PNG without data": png_file(9, 9),
        "a PNG with 3 bits per pixel": png_file(9, 9, png_chunk(b"IDAT", zlib.compress(bytes(90))), depth=3),
        "a PNG of 20,000 chunks": png_file(9, 9, *[png_chunk(b"tEXt", b"a\0")] * 20_000),
        "a JPEG of a million bytes that fill up": good["JPEG"][:2] + b"\xff" * 10**6 + good["JPEG"][2:],
        "a JPEG of 10,000 comments": good["JPEG"][:2] + b"\xff\xfe\0\2" * 10_000 + good["JPEG"][2:],
        "a WebP of 16,000 x 16,000": webp_header(16_000, 16_000),
        "a compressed BMP": good["BMP"][:30] + b"\1" + good["BMP"][31:],
        "a BMP of another size": good["BMP"][:18] + struct.pack("<ii", 60_000, 60_000) + good["BMP"][26:],
        "a JPEG of many scans": jpeg_of_many_scans(),
    }


def webp_header(width: int, height: int) -> bytes:
    """Return a lossless WebP that states a size and has hardly any pixels."""
    content = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(8)
    chunk = b"VP8L" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def jpeg_of_many_scans() -> bytes:
    """Return a progressive JPEG whose last scan comes 5,000 times. It is small, but slow to decode."""
    data = encode_picture(Image.new("L", (7000, 7000), 200), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


def is_picture(data: bytes) -> bool:
    """Return whether Pillow can decode what the gateway keeps of a file, and the picture is not too large."""
    try:
        file = read_structure(data)
        if file is None or file.width * file.height > MAX_PIXELS:  # a changed header can state any size
            return False
        with Image.open(io.BytesIO(file.data), formats=PICTURE_FORMATS) as image:
            image.load()
            return True
    except Exception:  # Pillow raises errors of many kinds for malformed files, and any of them answers the question
        return False


def generate_malformed_files(count: int = COUNT, seed: int = SEED) -> Iterator[tuple[str, bytes]]:
    """Generate the files made by hand, then good files of which 1 to 16 bytes were changed.

    Args:
        count: how many files in total.
        seed: decides which bytes are changed.

    Yields:
        What is wrong with a file, and its bytes.
    """
    made_by_hand = files_made_by_hand()
    yield from made_by_hand.items()
    generator = random.Random(seed)
    image = Image.radial_gradient("L").resize((64, 64))
    good = {kind: encode_picture(image, kind) for kind in PICTURE_FORMATS}
    remaining = count - len(made_by_hand)
    while remaining > 0:
        kind = generator.choice(PICTURE_FORMATS)
        data = bytearray(good[kind])
        for _ in range(generator.randint(1, 16)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        if not is_picture(bytes(data)):
            remaining -= 1
            yield f"{kind} with bytes changed", bytes(data)


def main() -> int:
    """Run the benchmark and print its table."""
    statuses: Counter[int] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as (client, _):
        url = f"{client.url}/v1/predictions?model=welcome"
        while "welcome" not in [model["name"] for model in client.get("/v1/models")["models"]]:
            time.sleep(0.2)
        requests.post(url, encode_picture(Image.linear_gradient("L"), "PNG"), timeout=30)
        before = gateway_memory_bytes()
        for name, data in generate_malformed_files():
            started = time.perf_counter()
            answer = requests.post(url, data, headers={"Content-Type": "image/png"}, timeout=60)
            slowest = max(slowest, (time.perf_counter() - started, name))
            statuses[answer.status_code] += 1
            if not 400 <= answer.status_code < 500 or not answer.json()["detail"]:
                Console().print(f"{name}: {answer.status_code} {answer.text[:200]}")
        grown = gateway_memory_bytes() - before
    table = Table("", "", title=f"{statuses.total()} malformed pictures, one after the other")
    table.add_row("statuses", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    table.add_row("slowest", f"{slowest[0]:.2f} s ({slowest[1]})")
    table.add_row("the gateway's memory grew by", f"{grown / 1e6:.0f} MB")
    Console().print(table)
    return 0


def gateway_memory_bytes() -> int:
    """Return the resident memory of the larger of the gateway's two processes, which this process started."""
    statuses = [
        Path(f"/proc/{pid}/status").read_text().splitlines() for pid in find_child_processes("services.gateway")
    ]
    lines = [line for status in statuses for line in status if line.startswith("VmRSS")]
    return max(int(line.split()[1]) for line in lines) * 1024


if __name__ == "__main__":
    sys.exit(main())
