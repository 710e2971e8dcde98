"""docker-compose.s3.yml: which key of the object store each service has, and through which network."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

FILES = ("-f", "docker-compose.yml", "-f", "docker-compose.s3.yml")
COMMON = {"TANDEM_MODEL_STORE": "s3://bucket/tandem", "AWS_ACCESS_KEY_ID": "common", "AWS_SECRET_ACCESS_KEY": "secret"}
TRAINERS = ("tensorflow-trainer", "pytorch-trainer")
READERS = ("tensorflow-predictor", "pytorch-predictor", "loadtest")


def read_configuration(**variables: str) -> dict[str, Any]:
    """Return what Compose makes of both files."""
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    command = [*compose, "--env-file", os.devnull, "-p", "project", *FILES, "config", "--format", "json"]
    environ = {"PATH": os.environ["PATH"], **COMMON, **variables}
    return json.loads(subprocess.run(command, env=environ, capture_output=True, check=True).stdout)


def read_credentials(configuration: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Return the key, the secret and the token of each service that has them."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    environments = {name: service.get("environment", {}) for name, service in configuration["services"].items()}
    return {
        service: tuple(environment[name] for name in names)
        for service, environment in environments.items()
        if names[0] in environment
    }


def test_all_clients_of_the_store_have_the_common_key_without_another() -> None:
    found = read_credentials(read_configuration(AWS_SESSION_TOKEN="token"))
    assert found == dict.fromkeys((*TRAINERS, "gateway", *READERS), ("common", "secret", "token"))


def test_the_gateway_and_those_who_only_read_may_have_keys_of_their_own() -> None:
    found = read_credentials(
        read_configuration(
            AWS_SESSION_TOKEN="token",
            GATEWAY_ACCESS_KEY_ID="gateway",
            GATEWAY_SECRET_ACCESS_KEY="gateway-secret",
            GATEWAY_SESSION_TOKEN="",
            READER_ACCESS_KEY_ID="reader",
            READER_SECRET_ACCESS_KEY="reader-secret",
            READER_SESSION_TOKEN="reader-token",
        )
    )
    assert found == {
        **dict.fromkeys(TRAINERS, ("common", "secret", "token")),
        "gateway": ("gateway", "gateway-secret", ""),
        **dict.fromkeys(READERS, ("reader", "reader-secret", "reader-token")),
    }


def test_the_network_with_a_way_out_is_not_the_one_that_exists_without_a_store() -> None:
    """Compose would leave that one as it is: the gateway of a project that ran before would reach no store."""
    network = read_configuration()["networks"]["published"]
    assert network["name"] == "project_published-with-store"
    assert network["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "true"}


def test_the_address_of_amazon_follows_the_region() -> None:
    """Without an address, the library makes one of the region."""
    environment = read_configuration(AWS_REGION="eu-central-1")["services"]["gateway"]["environment"]
    assert (environment["AWS_REGION"], environment["AWS_ENDPOINT_URL"]) == ("eu-central-1", "")
