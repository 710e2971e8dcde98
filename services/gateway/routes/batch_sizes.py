"""Which batch size a training or certificate gets if its dataset is small."""

from shared.data.datasets import Dataset
from shared.errors import InvalidRequestError


def choose_batch_size(asked: int, is_explicit: bool, dataset: Dataset) -> tuple[int, list[str]]:
    """Return the batch size of a job, and what the client should know about it.

    The default is lowered to the number of training pictures. A batch size that the client chose is never changed,
    because the client may compare figures that depend on it.

    Args:
        asked: the requested batch size, or the default.
        is_explicit: whether the request names the batch size.
        dataset: whose training split is used.

    Raises:
        InvalidRequestError: the client asked for more than there are training pictures.
    """
    examples = dataset.sizes["train"]
    if asked <= examples:
        return asked, []
    pictures = "1 training picture" if examples == 1 else f"{examples} training pictures"
    if is_explicit:
        raise InvalidRequestError(
            f"batch_size {asked} is more than the {pictures} of {dataset.name!r}: "
            f"choose {examples} or less, or leave batch_size out"
        )
    return examples, [f"batch_size is {examples} instead of {asked}: {dataset.name!r} has {pictures}"]
