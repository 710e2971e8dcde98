"""`dataset.json`: how the pictures of a user's dataset become pixels."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.data.folder_entries import FolderReader
from shared.data.images import Preparation
from shared.errors import InvalidDatasetError

FILE_NAME = "dataset.json"  # Capital letters do not matter.
MAX_BYTES = 2**16

PictureSide = Annotated[int, Field(strict=True, ge=1, le=512)]


class DatasetDescription(BaseModel):
    """The content of `dataset.json`: how the pictures become pixels."""

    model_config = ConfigDict(extra="forbid")

    size: Annotated[
        PictureSide | tuple[PictureSide, PictureSide],
        Field(description="the side of a square, or [height, width], in pixels"),
    ] = 28
    channels: Annotated[Literal[1, 3], Field(description="1 is grey, 3 is colour")] = 1
    prepare: Annotated[
        Preparation, Field(description="`ink` cuts out and centres what is drawn, `resize` only scales")
    ] = "resize"

    @property
    def shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return height, width, self.channels


def read_description(reader: FolderReader, paths: list[tuple[str, ...]]) -> DatasetDescription:
    """Read `dataset.json`. Without that file, every field has its default.

    The file may begin with a byte order mark, and may be UTF-8, UTF-16 or UTF-32: some editors write these.

    Args:
        reader: of the dataset's folder.
        paths: the folders in which the file may lie. The first one that has it counts.

    Raises:
        InvalidDatasetError: the file cannot be read, or has unknown or invalid fields. The message names them.
    """
    for path in paths:
        found = [entry for entry in reader.read(*path).files if entry.name.lower() == FILE_NAME]
        shown = [reader.show((*path, entry.name)) for entry in found]
        if len(found) > 1:
            raise InvalidDatasetError(f"{shown[0]} and {shown[1]} both describe the dataset: keep one of them")
        if found:
            return _parse(reader.read_file((*path, found[0].name), MAX_BYTES + 1), shown[0])
    return DatasetDescription()


def _parse(data: bytes, shown: str) -> DatasetDescription:
    if len(data) > MAX_BYTES:
        raise InvalidDatasetError(f"{shown} has more than {MAX_BYTES:,} bytes: it only needs size, channels, prepare")
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        raise InvalidDatasetError(f"{shown} is not text in UTF-8 or UTF-16: save it as UTF-8") from None
    try:
        return DatasetDescription.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(step) for step in first["loc"])
        raise InvalidDatasetError(f"{shown}: {field or 'the file'}: {first['msg']}") from None
