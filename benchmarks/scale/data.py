"""Uploads datasets of many pictures, and copies datasets until there are many."""

import io
import json
import shutil
import time
import uuid
import zipfile
from pathlib import Path

from PIL import Image

from services.cli.client import Client

CLASSES = 10
SIDE = 28  # pixels
NAME = "scale-data"


def make_zip(pictures: int) -> bytes:
    """Return a zip file of different pictures of ten classes: `pictures` to train with, and ten to test."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(pictures + CLASSES):
            split = "train" if number < pictures else "test"
            picture = io.BytesIO()
            levels = bytes((number * (position + 1) + position) % 256 for position in range(SIDE * SIDE))
            Image.frombytes("L", (SIDE, SIDE), levels).save(picture, "PNG")
            archive.writestr(f"{split}/{number % CLASSES}/{number}.png", picture.getvalue())
    return file.getvalue()


def time_upload(client: Client, pictures: int) -> float:
    """Upload a dataset and return the seconds until it can be used. It replaces the one before."""
    content = make_zip(pictures)
    started = time.perf_counter()
    client.upload(f"/v1/datasets/{NAME}", io.BytesIO(content), len(content), "application/zip")
    return time.perf_counter() - started


def copy_datasets(uploads: Path, count: int) -> None:
    """Add copies of the uploaded dataset, named `copy-<number>`, until there are `count` uploaded datasets."""
    record = json.loads((uploads / f"{NAME}.json").read_bytes())
    source = uploads / "versions" / f"{NAME}.{record['version']}"
    for number in range(len(list(uploads.glob("*.json"))), count):
        copy = {**record, "name": f"copy-{number}", "version": uuid.uuid4().hex}
        folder = uploads / "versions" / f"{copy['name']}.{copy['version']}"
        shutil.copytree(source, folder, copy_function=lambda old, new: Path(new).hardlink_to(old))
        for path in (folder / "record.json", uploads / f"{copy['name']}.json"):
            path.unlink(missing_ok=True)
            path.write_text(json.dumps(copy))
