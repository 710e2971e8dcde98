"""The only reader of the environment: every setting, its default, its meaning.

`.env.example` and the README list the same settings, and a test says so.
Nothing is read at import: call `Settings.from_env()` once, in `main`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def _setting(variable: str, default: str, meaning: str) -> Any:
    return field(metadata={"variable": variable, "default": default, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """Where things are and how much a process may use."""

    backends: tuple[str, ...] = _setting("TANDEM_BACKENDS", "tensorflow,pytorch", "the backends, in order")
    state_dir: Path = _setting("TANDEM_STATE_DIR", ".tandem", "where everything that lasts is kept")
    model_dir: Path = _setting("TANDEM_MODEL_DIR", "{state_dir}/models", "the model volume")
    cache_dir: Path = _setting("TANDEM_CACHE_DIR", "{state_dir}/data", "verified, unpacked datasets")
    key_file: Path = _setting("TANDEM_KEY_FILE", "{state_dir}/job.key", "the key that signs jobs, made when missing")
    data_dir: Path = _setting("TANDEM_DATA_DIR", "data", "the folder with your datasets, such as mnist/*.gz")
    redis_url: str = _setting("TANDEM_REDIS_URL", "redis://127.0.0.1:6390/0", "the queue and the state of jobs")
    bind_host: str = _setting("TANDEM_BIND_HOST", "127.0.0.1", "the address that servers listen on")
    gateway_port: int = _setting("TANDEM_GATEWAY_PORT", "8080", "the gateway's port")
    predictor_url: str = _setting(
        "TANDEM_PREDICTOR_URL", "http://127.0.0.1:{port}", "where predictors are; {backend} and {port} are filled in"
    )
    predictor_port: int = _setting(
        "TANDEM_PREDICTOR_PORT", "8101", "{port} for the first backend; the next backends' ports follow"
    )
    gateway_url: str = _setting(
        "TANDEM_GATEWAY_URL", "http://127.0.0.1:{port}", "where load tests find the gateway; {port} is filled in"
    )
    prediction_timeout_s: float = _setting(
        "TANDEM_PREDICTION_TIMEOUT_S", "10", "seconds a backend has for one prediction"
    )
    job_timeout_s: int = _setting("TANDEM_JOB_TIMEOUT_S", "3600", "seconds a training or an evaluation may run")
    threads: int = _setting("TANDEM_THREADS", "0", "threads per trainer; 0 is max(1, cores // backends)")
    prediction_threads: int = _setting("TANDEM_PREDICTION_THREADS", "1", "threads with which a predictor computes")
    device: str = _setting("TANDEM_DEVICE", "cpu", "cpu, cuda or auto")
    logs: str = _setting("TANDEM_LOGS", "auto", "auto, json or text: how log lines look; auto is text on a terminal")
    commit: str = _setting("TANDEM_COMMIT", "unknown", "what reports name as the source they were measured with")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings; an unset or empty variable means its default.

        Raises:
            ValueError: a value that cannot be used, naming its variable.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for setting in fields(cls):
            variable = setting.metadata["variable"]
            text = environ.get(variable) or setting.metadata["default"].replace(
                "{state_dir}", str(values.get("state_dir"))
            )
            try:
                values[setting.name] = _PARSERS.get(setting.name, _PARSERS_BY_TYPE.get(setting.type, str))(text)
            except ValueError as error:
                raise ValueError(f"{variable}={text!r}: {error}") from None
        return cls(**values)

    @property
    def threads_per_backend(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, cores // len(self.backends))

    @property
    def url_of_gateway(self) -> str:
        return self.gateway_url.format(port=self.gateway_port)

    def url_of(self, backend: str) -> str:
        """Where a backend's predictor is found."""
        port = self.predictor_port + self.backends.index(backend)
        return self.predictor_url.format(backend=backend, port=port)

    def port_of(self, backend: str) -> int:
        """Where a backend's predictor listens: the port of its URL."""
        return urlsplit(self.url_of(backend)).port or 80


def _backends(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise ValueError("name each backend once, separated by commas")
    return names


def _at_least(least: float, kind: type[int] | type[float]) -> Any:
    def parse(text: str) -> float:
        value = kind(text)
        if not value >= least:
            raise ValueError(f"must be at least {least}")
        return value

    return parse


def _port(text: str) -> int:
    if not 1 <= int(text) <= 65_535:
        raise ValueError("must be a port from 1 to 65535")
    return int(text)


def _url_template(text: str) -> str:
    try:
        text.format(backend="x", port=1)
    except (KeyError, IndexError, ValueError):
        raise ValueError("may hold {backend} and {port}, and no other braces") from None
    return text


def _one_of(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    return text


_PARSERS_BY_TYPE: dict[Any, Any] = {Path: lambda text: Path(text).absolute()}
_PARSERS: dict[str, Any] = {
    "predictor_url": _url_template,
    "gateway_url": _url_template,
    "backends": _backends,
    "gateway_port": _port,
    "predictor_port": _port,
    "prediction_timeout_s": _at_least(0.001, float),
    "job_timeout_s": _at_least(1, int),
    "threads": _at_least(0, int),
    "prediction_threads": _at_least(1, int),
    "device": partial(_one_of, ("cpu", "cuda", "auto")),
    "logs": partial(_one_of, ("auto", "json", "text")),
}
