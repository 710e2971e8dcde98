"""The predictors of one side of a load test: which there are, and what they have used.

A backend may have several predictors. The figures of a side are those of all of them, added.
"""

import requests

from shared.serving.health import ProcessUse

STATUS_TIMEOUT_S = 10

Predictors = dict[str, ProcessUse | None]  # address -> its process; None if it does not answer


def fetch_predictors(gateway_url: str, headers: dict[str, str], backend: str) -> Predictors:
    """Ask the gateway for a backend's predictors. Return none if the gateway does not answer.

    Args:
        gateway_url: where the gateway is.
        headers: of the request.
        backend: whose predictors.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False  # the gateway is asked directly, also where a proxy is set
            answer = session.get(f"{gateway_url}/v1/status", headers=headers, timeout=STATUS_TIMEOUT_S)
        return {
            predictor["address"]: predictor["process"] and ProcessUse.model_validate(predictor["process"])
            for predictor in answer.json()["backends"][backend]["predictors"]
        }
    except (requests.RequestException, ValueError, KeyError):  # a ValidationError is a ValueError
        return {}


def find_answering(predictors: Predictors) -> dict[str, ProcessUse]:
    """Return address -> process of the predictors that answer."""
    return {address: process for address, process in predictors.items() if process}


def have_changed(before: Predictors, after: Predictors) -> bool:
    """Return whether a predictor was restarted, added or removed.

    A predictor that does not answer has not changed: it may be busy. If the gateway did not answer, nothing has.
    """
    if not before or not after:
        return False
    old, new = find_answering(before), find_answering(after)
    return before.keys() != after.keys() or any(_was_restarted(old[each], new[each]) for each in old.keys() & new)


def compute_cpu_seconds(before: Predictors, after: Predictors) -> float | None:
    """Return the CPU time that all predictors together used between two moments.

    Returns:
        None if it is not known: a predictor has changed, one answered at one of the moments only, or none answers.
    """
    old, new = find_answering(before), find_answering(after)
    if not new or old.keys() != new.keys() or have_changed(before, after):
        return None
    return sum(new[address].cpu_seconds - old[address].cpu_seconds for address in new)


def add_peak_memory(predictors: Predictors) -> int | None:
    """Return the sum of the peak memory of the predictors that answer, in bytes; None if none does."""
    return sum(process.peak_memory_bytes for process in find_answering(predictors).values()) or None


def _was_restarted(old: ProcessUse, new: ProcessUse) -> bool:
    """Return whether the process at an address is another one than before.

    In containers all of them may have the same number. The CPU time of a process never falls.
    """
    return (old.machine, old.pid) != (new.machine, new.pid) or new.cpu_seconds < old.cpu_seconds
