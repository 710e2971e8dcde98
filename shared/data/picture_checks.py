"""Decodes the pictures of users' datasets once, so that a training is refused before it begins.

A picture is decoded again only if its file has changed. Listings of all datasets check for a limited time and go on
where they stopped.
"""

from collections import OrderedDict
from threading import Lock
from time import monotonic

from shared.data.image_folder import PictureFile, PictureFiles, read_picture
from shared.data.images import Preparation
from shared.network.layers import Shape

MAX_DATASETS = 32  # whose decoded pictures are remembered

_Key = tuple[str, Shape, Preparation]


class PictureChecks:
    """Remembers which picture files could be decoded. Several threads may use it."""

    def __init__(self) -> None:
        self._decoded: OrderedDict[_Key, set[PictureFile]] = OrderedDict()
        self._lock = Lock()
        self._listing_lock = Lock()

    def check(
        self, name: str, pictures: PictureFiles, shape: Shape, preparation: Preparation, until: float | None = None
    ) -> int:
        """Decode the pictures that have not been decoded since they changed.

        Args:
            name: of the dataset.
            pictures: all pictures of the dataset.
            shape: [H, W, C] that they are brought to.
            preparation: how they are brought to that shape.
            until: stop at this time of `time.monotonic`, in seconds; None to check all.

        Returns:
            How many pictures are left to be checked.

        Raises:
            InvalidDatasetError: a picture cannot be read. The message names it.
        """
        decoded = self._recall((name, shape, preparation), pictures)
        if until is None:
            return self._decode(pictures, decoded, shape, preparation, until)
        # Several listings at the same time decode each picture once: one decodes, and the others wait for it.
        has_lock = self._listing_lock.acquire(timeout=max(0.0, until - monotonic()))
        try:
            return self._decode(pictures, decoded, shape, preparation, until if has_lock else 0.0)
        finally:
            if has_lock:
                self._listing_lock.release()

    def _decode(
        self,
        pictures: PictureFiles,
        decoded: set[PictureFile],
        shape: Shape,
        preparation: Preparation,
        until: float | None,
    ) -> int:
        """Decode pictures and add them to the set. See `check` for arguments, result and errors."""
        waiting = [picture for picture in pictures if picture not in decoded]
        for done, picture in enumerate(waiting):
            if until is not None and monotonic() >= until:
                return len(waiting) - done
            read_picture(picture, shape, preparation)
            decoded.add(picture)
        return 0

    def _recall(self, key: _Key, pictures: PictureFiles) -> set[PictureFile]:
        """Return the set of decoded pictures of a dataset, without files that have been changed or removed."""
        with self._lock:
            decoded = self._decoded.setdefault(key, set())
            decoded.intersection_update(pictures)
            self._decoded.move_to_end(key)
            while len(self._decoded) > MAX_DATASETS:
                self._decoded.popitem(last=False)
            return decoded
