"""Every setting of Tandem: its environment variable, its default and its meaning.

This is the only module that reads the environment. Nothing is read at import: a process calls
`Settings.from_env()` once, in `main`. `.env.example` and the README list the same settings, and a test compares them.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "TANDEM_"
STORE_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,62}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+/?")
LONGEST_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket: unix(7) has room for 108, and the last one is zero."""


@dataclass(frozen=True)
class Accepts:
    """What a setting accepts, as the end of the sentence "set it to ..." in an error message."""

    text: str


def _split_at_commas(text: object) -> object:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if isinstance(text, str) else text


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError("a name occurs twice")
    return names


def _allow_placeholders(*names: str) -> AfterValidator:
    """Return a validator for a URL template that may contain `{name}` for these names, and no other braces."""

    def check(template: str) -> str:
        try:
            template.format(**dict.fromkeys(names, "1"))
        except (LookupError, AttributeError) as error:
            raise ValueError(f"unknown placeholder {error}") from None
        if not template.strip(" ,"):
            raise ValueError("no URL")
        return template

    return AfterValidator(check)


def _locate_redis(template: str, earlier: ValidationInfo) -> str:
    """Return the URL of Redis with the state folder filled in.

    If the path of the socket would be too long for the operating system, the socket lies in a folder under the
    system's temporary folder instead. The name of that folder depends on the user and on the state folder only.
    """
    state_dir: Path = earlier.data["state_dir"]
    url = template.replace("{state_dir}", quote(str(state_dir)))
    if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("unknown scheme")
    if url != template and len(os.fsencode(f"{state_dir}/redis/redis.sock")) > LONGEST_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir(), f"tandem-{os.getuid()}-{digest}")
        return f"unix://{quote(str(folder))}/redis.sock?db=0"
    return url


def _check_store_url(url: str | None) -> str | None:
    if url is not None and not STORE_URL.fullmatch(url):
        raise ValueError("it is not the URL of a prefix in a bucket")
    return url.rstrip("/") if url else None


Names = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_at_commas),
    Field(min_length=1),
    AfterValidator(_check_unique),
    Accepts("one or more names, separated by commas, each once"),
]
AnyNames = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split_at_commas),
    AfterValidator(_check_unique),
    Accepts("names, separated by commas, each once"),
]
Folder = Annotated[Path, AfterValidator(Path.absolute)]
Port = Annotated[int, Field(ge=1, le=65_535), Accepts("a port number from 1 to 65535")]
Seconds = Annotated[float, Field(ge=0.001), Accepts("a number of seconds, at least 0.001")]
WholeSeconds = Annotated[int, Field(ge=1), Accepts("a whole number of seconds, at least 1")]
AutomaticCount = Annotated[int, Field(ge=0), Accepts("a whole number, at least 0")]
WholeNumber = Annotated[int, Field(ge=1), Accepts("a whole number, at least 1")]
ProcessCount = Annotated[int, Field(ge=1, le=64), Accepts("a whole number from 1 to 64")]
RedisUrl = Annotated[
    str, AfterValidator(_locate_redis), Accepts("a URL that begins with redis://, rediss:// or unix://")
]
PredictorUrl = Annotated[
    str,
    _allow_placeholders("backend", "port"),
    Accepts("a URL that may contain {backend} and {port}, and no other braces; or several, separated by commas"),
]
StoreUrl = Annotated[
    str | None,
    AfterValidator(_check_store_url),
    Accepts("s3://bucket/prefix, where the prefix has letters, digits and . _ - /"),
]
GatewayUrl = Annotated[str, _allow_placeholders("port"), Accepts("a URL that may contain {port}, and no other braces")]
Device = Annotated[Literal["cpu", "cuda", "auto"], Accepts("cpu, cuda or auto")]
Switch = Annotated[bool, Accepts("1 or 0")]
LogFormat = Annotated[Literal["auto", "json", "text"], Accepts("auto, json or text")]


def _variable_of(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


class Settings(BaseSettings):
    """Where things are, and how much a process may use.

    The variable of a field is its name in upper case after `TANDEM_`: `gateway_port` is `TANDEM_GATEWAY_PORT`.
    Create an instance with `from_env`. It cannot be changed afterwards.
    """

    model_config = SettingsConfigDict(
        alias_generator=_variable_of, case_sensitive=True, env_ignore_empty=True, extra="ignore", frozen=True
    )

    backends: Names = Field(("tensorflow", "pytorch"), description="the backends, in this order")
    state_dir: Folder = Field(Path(".tandem"), description="the folder for everything that Tandem stores")
    model_dir: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "models", description="the folder of published models"
    )
    model_store: StoreUrl = Field(None, description="s3://bucket/prefix: an object store for models and uploads")
    cache_dir: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "data",
        description="the folder of verified, unpacked datasets",
    )
    key_file: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "job.key",
        description="the key that signs jobs; created if it is missing",
    )
    data_dir: Folder = Field(Path("data"), description="the folder with your datasets, and with mnist/*.gz")
    upload_dir: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "uploads",
        description="the folder of uploaded datasets",
    )
    max_upload_bytes: WholeNumber = Field(512 * 2**20, description="bytes of an uploaded zip file")
    redis_url: RedisUrl = Field(
        "unix://{state_dir}/redis/redis.sock?db=0",
        validate_default=True,
        description="Redis; may contain {state_dir}",
    )
    redis_user: str = Field("default", description="the Redis user of this process")
    redis_password_file: Folder | None = Field(None, description="the file with the password of that user")
    bind_host: str = Field("127.0.0.1", description="the address on which the servers listen")
    public_host: str = Field(
        default_factory=lambda earlier: earlier["bind_host"],
        description="address at which clients reach the gateway",
    )
    gateway_port: Port = Field(8080, description="the port of the gateway")
    public_port: Port = Field(
        default_factory=lambda earlier: earlier["gateway_port"],
        description="port at which clients reach the gateway",
    )
    gateway_processes: ProcessCount = Field(1, description="how many processes share that port")
    predictor_url: PredictorUrl = Field(
        "http://127.0.0.1:{port}",
        description="predictors' URL, or URLs; {backend}, {port}",
    )
    predictor_port: Port = Field(8101, description="port of the first predictor; the others follow")
    socket_dir: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "sockets",
        description="the folder of the predictors' Unix sockets",
    )
    gateway_url: GatewayUrl = Field("http://127.0.0.1:{port}", description="gateway's URL for load tests")
    prediction_timeout_s: Seconds = Field(10, description="time limit of a prediction, in seconds")
    joint_timeout_s: Seconds = Field(2, description="time limit once one of several backends answered")
    job_timeout_s: WholeSeconds = Field(3600, description="time limit of a training or an evaluation, in seconds")
    pipeline_timeout_s: WholeSeconds = Field(86_400, description="time limit of a search or a release, in seconds")
    max_queued: WholeNumber = Field(1000, description="how many jobs may wait in one queue")
    keep_days: WholeNumber = Field(90, description="days until the record of a job expires; models stay")
    token_file: Folder = Field(
        default_factory=lambda earlier: earlier["state_dir"] / "tokens.json",
        description="access tokens, hashed; made by the first token",
    )
    anonymous: Switch = Field(False, description="1 serves other addresses than loopback without tokens")
    allowed_hosts: AnyNames = Field((), description="names in `Host` to answer, besides loopback")
    cors_origins: AnyNames = Field((), description="origins whose pages may call the API")
    rate_limit: AutomaticCount = Field(500, description="requests per second and client; 0: no limit")
    prediction_rate_limit: AutomaticCount = Field(10_000, description="predictions a second and client; 0: no limit")
    threads: AutomaticCount = Field(0, description="threads per trainer; 0 means max(1, cores // backends)")
    prediction_threads: WholeNumber = Field(1, description="threads per predictor")
    device: Device = Field("cpu", description="a trainer's device: cpu, cuda, or auto: a GPU if there is one")
    prediction_device: Device = Field("cpu", description="a predictor's device: cpu, cuda or auto")
    tf32: Switch = Field(False, description="1 lets a GPU round factors to TF32: faster, less exact")
    logs: LogFormat = Field("auto", description="log format: json, text, or auto: text in a terminal")
    commit: str = Field("unknown", description="the version of the source code, shown in reports")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings. An unset or empty variable means its default.

        Args:
            environ: the variables; by default those of this process. Other variables in it are ignored.

        Raises:
            ValueError: a value cannot be used. The message names the variable and what it accepts, on one line.
        """
        source = EnvSettingsSource(cls)
        if environ is not None:
            source.env_vars = {variable: text for variable, text in environ.items() if text}
        try:
            return cls(**source())
        except ValidationError as error:
            first = error.errors()[0]
            variable = str(first["loc"][0])
            accepted = _accepted_values(variable) or first["msg"]
            raise ValueError(f"{variable}={source.env_vars[variable]!r} is not valid: set it to {accepted}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes every source by its name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but the arguments: `from_env` decides which environment is read."""
        return (init_settings,)

    @property
    def threads_per_backend(self) -> int:
        """The threads that a trainer may use: `threads`, or an equal share of this machine's cores."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or max(1, cores // len(self.backends))

    @property
    def url_of_gateway(self) -> str:
        """`gateway_url` with the port filled in."""
        return self.gateway_url.format(port=self.gateway_port)

    @property
    def page_url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = host_to_connect_to(self.public_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.public_port}/"

    def urls_of(self, backend: str) -> tuple[str, ...]:
        """Return the URLs of a backend's predictors: `predictor_url` with the backend and its port filled in.

        The name of a host may have several addresses, each of another predictor.

        Raises:
            ValueError: the backend is not one of `backends`.
        """
        port = self.predictor_port + self.backends.index(backend)
        urls = self.predictor_url.format(backend=backend, port=port).split(",")
        return tuple(url.strip() for url in urls if url.strip())

    def url_of(self, backend: str) -> str:
        """Return the URL of a backend's predictor, or of its first one.

        Raises:
            ValueError: the backend is not one of `backends`.
        """
        return self.urls_of(backend)[0]

    def socket_of(self, backend: str) -> Path | None:
        """Return the Unix socket of a backend's predictor, because it is faster than TCP on the same machine.

        There is none if `predictor_url` has several URLs, because their predictors would replace each other's socket.
        There is none either if its path would be too long for the system.
        """
        path = self.socket_dir / backend / "predictor.sock"
        is_possible = len(self.urls_of(backend)) == 1 and len(os.fsencode(path)) <= LONGEST_SOCKET_PATH
        return path if is_possible else None

    def port_of(self, backend: str) -> int:
        """Return the port on which a backend's predictors listen: the port in their first URL, or 80."""
        return urlsplit(self.url_of(backend)).port or 80


def host_to_connect_to(bind_host: str) -> str:
    """Return the host at which this machine reaches a server that listens on `bind_host`, without brackets."""
    return "127.0.0.1" if bind_host in {"", "0.0.0.0", "::"} else bind_host.strip("[]")  # noqa: S104 - compared only


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own: no other machine can reach it."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def variable_of(setting: FieldInfo) -> str:
    """Return the environment variable of a field of `Settings`."""
    return str(setting.validation_alias)


def _accepted_values(variable: str) -> str | None:
    for setting in Settings.model_fields.values():
        if variable_of(setting) == variable:
            return next((part.text for part in setting.metadata if isinstance(part, Accepts)), None)
    return None
