"""Calls to a backend's predictors that block until they are answered: for jobs, which have no event loop.

If a backend has several predictors, those that do not answer their health check are left out, unless none answers it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from shared.serving.addresses import PredictorAddress, find_addresses
from shared.serving.client import (
    MAX_LOST_CONNECTIONS,
    ConnectionFailedError,
    ConnectionLostError,
    PredictorClient,
    PredictorError,
    Reply,
)

HEALTH_TIMEOUT_S = 2.0


def ask_any_predictor(urls: Sequence[str], path: str, body: bytes, timeout_s: float) -> Reply:
    """POST to a backend's predictors, one after the other, until one replies. The request must change nothing.

    No further predictor is asked once MAX_LOST_CONNECTIONS have failed after the request was written.

    Args:
        timeout_s: for each predictor.

    Raises:
        TimeoutError, ConnectionFailedError: no predictor replies. This is the error of the last one that was asked.
    """

    async def ask() -> Reply:
        error: TimeoutError | ConnectionFailedError = ConnectionFailedError("there is no predictor")
        lost = 0
        async with _usable_predictors(urls) as predictors:
            for predictor in predictors:
                try:
                    return await predictor.request("POST", path, body, timeout_s=timeout_s)
                except (TimeoutError, ConnectionFailedError) as failure:
                    error = failure
                    lost += isinstance(failure, ConnectionLostError)
                if lost == MAX_LOST_CONNECTIONS:
                    break
        raise error

    return asyncio.run(ask())


def ask_all_predictors(urls: Sequence[str], path: str, body: bytes, timeout_s: float) -> list[Reply]:
    """POST to all of a backend's predictors at once, and return the replies of those that answer.

    Raises:
        TimeoutError, ConnectionFailedError: none of them answers. This is the error of the first one.
    """

    async def ask() -> list[Reply]:
        async with _usable_predictors(urls) as predictors:
            posts = [predictor.request("POST", path, body, timeout_s=timeout_s) for predictor in predictors]
            outcomes = await asyncio.gather(*posts, return_exceptions=True)
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
        for outcome in outcomes:
            is_expected = isinstance(outcome, Reply | TimeoutError | ConnectionFailedError)
            if isinstance(outcome, BaseException) and not (is_expected and replies):
                raise outcome
        return replies

    return asyncio.run(ask())


@asynccontextmanager
async def _usable_predictors(urls: Sequence[str]) -> AsyncIterator[list[PredictorClient]]:
    """Yield the predictors that answer their health check, or all if none does.

    Raises:
        ConnectionFailedError: no name is known.
    """
    predictors = [PredictorClient(address.url, ip=address.ip) for address in await _find_all(urls)]
    try:
        if len(predictors) == 1:  # it is asked in any case
            yield predictors
        else:
            are_healthy = await asyncio.gather(*map(_is_healthy, predictors))
            yield [one for one, is_healthy in zip(predictors, are_healthy, strict=True) if is_healthy] or predictors
    finally:
        for predictor in predictors:
            predictor.close()


async def _is_healthy(predictor: PredictorClient) -> bool:
    try:
        await predictor.ask_health(HEALTH_TIMEOUT_S)
    except (TimeoutError, PredictorError):
        return False
    return True


async def _find_all(urls: Sequence[str]) -> list[PredictorAddress]:
    """Return the addresses of all predictors. A name that is unknown has none.

    Raises:
        ConnectionFailedError: there is no address.
    """
    found: list[PredictorAddress] = []
    error: OSError | None = None
    for url in urls:
        try:
            found += await find_addresses(url)
        except OSError as failure:
            error = failure
    if not found:
        raise ConnectionFailedError(str(error)) from error
    return found
