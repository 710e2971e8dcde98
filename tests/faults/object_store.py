"""Kills writers of models and the object store at random points. A reader verifies every version that becomes visible.

    python -m tests.faults.object_store [--kills 300] [--servers 30] [--seed 0]

Two writers publish the same versions of one model, so that each version is contended for. At the end the program
checks four things. Nobody has ever seen a part of a version. No version was published twice or changed. Everything that
a writer knows to be published is there. The clean-up leaves nothing but published versions.
"""

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from shared.errors import AlreadyPublishedError, CorruptModelError, NotFoundError
from shared.models import stored_registry
from shared.models.manifest import ModelDescription
from shared.models.publications import Publication, version_key
from shared.models.registry import MANIFEST, WEIGHTS
from shared.models.starter import STARTER_FOLDER
from shared.models.stored_registry import StoredModelRegistry
from shared.network.weights import from_bytes
from shared.object_store import ObjectStore, ObjectStoreError
from shared.process import end_with_parent, run_in_child
from tests.object_server import BUCKET, ObjectServer, running_object_server

URL = f"s3://{BUCKET}/faults"
NAME, BACKEND = "contended", "pytorch"
WRITERS = ("first", "second")
SETTLED_AFTER_S = 5.0  # the server may still write what a writer sent before it was killed
LONGEST_LIFE_S = 0.4  # of a writer after it has begun: a few publications


@dataclass
class Figures:
    """What the program counts.

    Attributes:
        writer_kills: processes that published and were killed.
        server_kills: how often the object store was killed.
        versions: published ones.
        reads: versions that the reader verified.
        torn: of these, how many were not complete.
        twice: versions that were published twice, or changed.
        lost: versions that a writer knows to be published, and that are not there.
        left: objects that the clean-up has left and that belong to no version.
        abandoned: drafts that killed writers have left.
        notes: what was wrong.
    """

    writer_kills: int = 0
    server_kills: int = 0
    versions: int = 0
    reads: int = 0
    torn: int = 0
    twice: int = 0
    lost: int = 0
    left: int = 0
    abandoned: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was torn, published twice, lost or left."""
        return self.versions > 0 and self.reads > 0 and not (self.torn or self.twice or self.lost or self.left)


def open_stored(folder: Path) -> StoredModelRegistry:
    """Return a registry with a new folder for copies. It does not wait after a publication."""
    registry = StoredModelRegistry(ObjectStore(URL), Path(tempfile.mkdtemp(dir=folder)))
    registry.visible_after_s = 0.0
    return registry


def publish_for_ever(folder: Path, writer: str, ready: int) -> None:
    """Publish one version after the other, and note each one that is this writer's.

    As a trainer does, the writer tries again if the store does not answer.
    """
    registry = open_stored(folder)
    description = ModelDescription.model_validate_json((STARTER_FOLDER / MANIFEST).read_bytes())
    weights = from_bytes((STARTER_FOLDER / WEIGHTS).read_bytes(), description.network)
    version, is_ready = 0, False
    while True:
        try:
            version = version or max(registry.versions(NAME, BACKEND), default=0) + 1
            if not is_ready:
                os.write(ready, b"x")
                is_ready = True
            registry.publish(NAME, BACKEND, version, description, weights, writer)
            with open(folder / f"{writer}.ledger", "a") as ledger:
                ledger.write(f"{version}\n")
        except AlreadyPublishedError:
            pass
        except ObjectStoreError:
            time.sleep(0.2)
            continue
        version += 1


def read_for_ever(folder: Path) -> None:
    """Verify every version as soon as it is visible, with an empty folder for copies, and note what is wrong."""
    seen: dict[int, str] = {}
    with open(folder / "reader.ledger", "a", buffering=1) as ledger:
        while True:
            registry = open_stored(folder)
            with contextlib.suppress(ObjectStoreError):
                newest = registry.versions(NAME, BACKEND)[-3:]
                for version in newest:
                    try:
                        digest = registry.verify(NAME, BACKEND, version).manifest.digest
                        entry = {"version": version, "digest": digest}
                    except (CorruptModelError, NotFoundError) as error:
                        entry = {"version": version, "torn": str(error)}
                    if "digest" in entry and seen.setdefault(version, digest) != digest:
                        entry["changed"] = True
                    ledger.write(json.dumps(entry) + "\n")
            shutil.rmtree(registry.root, ignore_errors=True)


def start_child(work: Callable[[int], None]) -> tuple[int, int]:
    """Fork a process. Return its id, and the end of a pipe from which one byte comes when it has begun."""
    begun, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            end_with_parent(signal.SIGKILL)
            os.close(begun)
            work(ready)
        finally:
            os._exit(1)
    os.close(ready)
    return pid, begun


def kill_at_random_points(
    server: ObjectServer, folder: Path, kills: int, servers: int, seed: int, say: Callable[[str], object] = print
) -> Figures:
    """Kill writers, and between them the server, and return what was found.

    Args:
        server: a running object store.
        folder: for copies and notes.
        kills: how many processes to kill, servers included.
        servers: how often to kill the server.
        seed: of the times.
        say: takes a line about every fiftieth kill.
    """
    generator = random.Random(seed)
    figures = Figures()
    victims = ["server"] * servers + ["writer"] * (kills - servers)
    generator.shuffle(victims)
    reader, _ = start_child(lambda _: read_for_ever(folder))
    writers = {name: start_child(lambda ready, name=name: publish_for_ever(folder, name, ready)) for name in WRITERS}
    for number, victim in enumerate(victims, 1):
        name = generator.choice(WRITERS)
        pid, begun = writers[name]
        os.read(begun, 1)
        time.sleep(generator.uniform(0.0, LONGEST_LIFE_S))
        if victim == "server":
            server.send(signal.SIGKILL)
            figures.server_kills += 1
            server.start()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(begun)
        figures.writer_kills += victim == "writer"
        writers[name] = start_child(lambda ready, name=name: publish_for_ever(folder, name, ready))
        if number % 50 == 0:
            say(f"{number} of {kills} kills")
    for pid in (*(pid for pid, _ in writers.values()), reader):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    time.sleep(SETTLED_AFTER_S)
    # This process forks others, so it must not use the store itself.
    report = folder / "figures.json"
    assert run_in_child(lambda: report.write_text(json.dumps(vars(_judge(folder, figures)))))
    return Figures(**json.loads(report.read_text()))


def _judge(folder: Path, figures: Figures) -> Figures:
    """Compare the store with what the writers and the reader have noted, before and after the clean-up."""
    for line in (folder / "reader.ledger").read_text().splitlines():
        entry = json.loads(line)
        figures.reads += 1
        figures.torn += "torn" in entry
        figures.twice += "changed" in entry
        if "torn" in entry or "changed" in entry:
            figures.notes.append(line)
    registry = open_stored(folder)
    versions = registry.versions(NAME, BACKEND)
    figures.versions = len(versions)
    figures.abandoned = len(list(registry.store.list("drafts")))
    stored_registry.UNFINISHED_AFTER_S = -60.0  # the writers are dead, so no draft is still being published
    registry.remove_abandoned_drafts()
    writers = {}
    for version in versions:
        try:
            writers[version] = registry.verify(NAME, BACKEND, version).manifest.writer
        except (CorruptModelError, NotFoundError) as error:
            figures.torn += 1
            figures.notes.append(str(error))
    for writer in WRITERS:
        ledger = folder / f"{writer}.ledger"
        for version in {int(line) for line in ledger.read_text().split()} if ledger.exists() else set():
            figures.lost += version not in writers
            figures.twice += writers.get(version, writer) != writer
    left = [found.key for folder in ("contents", "drafts") for found in registry.store.list(folder)]
    for version in versions:
        publication = Publication.model_validate_json(registry.store.get(version_key(NAME, BACKEND, version)))
        left = [key for key in left if publication.draft not in key.split("/")]
    figures.left = len(left)
    figures.notes += left
    return figures


def main() -> int:
    """Run the program with its options, and print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=300)
    options.add_argument("--servers", type=int, default=30)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # outages are wanted here
    folder = Path(tempfile.mkdtemp(prefix="object-store-"))
    with running_object_server(folder / "objects") as server:
        figures = kill_at_random_points(server, folder, chosen.kills, chosen.servers, chosen.seed)
    shutil.rmtree(folder, ignore_errors=True)
    for name, value in vars(figures).items():
        print(f"{name:13} {value}")
    print("passed" if figures.is_clean else "FAILED")
    return 0 if figures.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
