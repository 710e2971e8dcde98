"""Calls to a backend's predictors that block until they are answered: for jobs, which have no event loop."""

import asyncio
from collections.abc import Sequence
from itertools import chain

from shared.serving.addresses import PredictorAddress, find_addresses
from shared.serving.client import ConnectionFailedError, PredictorClient, Reply


def ask_any_predictor(urls: Sequence[str], path: str, body: bytes, timeout_s: float) -> Reply:
    """POST to a backend's predictors, one after the other, until one replies. The request must change nothing.

    Raises:
        TimeoutError: a reply did not arrive completely within `timeout_s`.
        ConnectionFailedError: every connection was refused or closed.
    """

    async def ask() -> Reply:
        error = ConnectionFailedError("there is no predictor")
        for address in await _find_all(urls):
            try:
                return await _post(address, path, body, timeout_s)
            except ConnectionFailedError as failure:
                error = failure
        raise error

    return asyncio.run(ask())


def ask_all_predictors(urls: Sequence[str], path: str, body: bytes, timeout_s: float) -> list[Reply]:
    """POST to all of a backend's predictors at once, and return the replies of those that answer.

    Raises:
        TimeoutError, ConnectionFailedError: none of them answers. This is the error of the first one.
    """

    async def ask() -> list[Reply]:
        posts = [_post(address, path, body, timeout_s) for address in await _find_all(urls)]
        outcomes = await asyncio.gather(*posts, return_exceptions=True)
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
        for outcome in outcomes:
            is_expected = isinstance(outcome, Reply | TimeoutError | ConnectionFailedError)
            if isinstance(outcome, BaseException) and not (is_expected and replies):
                raise outcome
        return replies

    return asyncio.run(ask())


async def _find_all(urls: Sequence[str]) -> list[PredictorAddress]:
    """Return the addresses of all predictors.

    Raises:
        ConnectionFailedError: a name is unknown.
    """
    try:
        return list(chain.from_iterable([await find_addresses(url) for url in urls]))
    except OSError as error:
        raise ConnectionFailedError(str(error)) from error


async def _post(address: PredictorAddress, path: str, body: bytes, timeout_s: float) -> Reply:
    client = PredictorClient(address.url, ip=address.ip)
    try:
        return await client.request("POST", path, body, timeout_s=timeout_s)
    finally:
        client.close()
