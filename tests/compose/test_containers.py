"""Each container may do what SECURITY.md says, and nothing else."""

import json
import re
import subprocess

import pytest

from tests.compose.conftest import COMMAND, PROJECT, SERVICES, Compose
from tests.compose.security_table import describe, read_rows, read_table

pytestmark = pytest.mark.compose
FILE = "/data/appendonlydir/appendonly.aof.1.incr.aof"


def test_the_table_lists_every_service(compose: Compose) -> None:
    listed = compose("--profile", "*", "config", "--services").stdout.split()
    assert set(read_table()) == set(listed)
    assert set(listed) == SERVICES | {COMMAND, "tensorboard"}


@pytest.mark.parametrize("service", sorted(SERVICES | {COMMAND}))
def test_a_container_may_do_what_the_table_says(compose: Compose, service: str) -> None:
    assert describe(compose, service) == read_table()[service]


def test_the_networks_have_a_way_out_where_the_table_says(compose: Compose) -> None:
    listed = {name.strip("`"): way_out for name, way_out, _ in read_rows("network")}
    assert set(compose.configuration()["networks"]) == set(listed) - {"curves"}
    for name, way_out in listed.items():
        if name == "curves":
            continue  # it exists only with its profile
        command = ["docker", "network", "inspect", f"{PROJECT}_{name}"]
        (network,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        translates = network["Options"].get("com.docker.network.bridge.enable_ip_masquerade") != "false"
        assert ("yes" if translates and not network["Internal"] else "no") == way_out, name


@pytest.mark.parametrize("service", ["tensorflow-predictor", "pytorch-predictor"])
def test_a_predictor_cannot_reach_redis(compose: Compose, service: str) -> None:
    (network,) = [
        found
        for name, found in compose.inspect("redis")["NetworkSettings"]["Networks"].items()
        if name == f"{PROJECT}_queue"
    ]
    connect = "import socket, sys; socket.create_connection((sys.argv[1], 6379), 2)"
    for host in ("redis", network["IPAddress"]):
        assert compose("exec", "-T", service, "python", "-c", connect, host, check=False).returncode != 0
    compose("exec", "-T", "gateway", "python", "-c", connect, "redis")


@pytest.mark.parametrize("service", ["tensorflow-predictor", "pytorch-predictor", "pytorch-trainer"])
def test_a_predictor_and_a_trainer_cannot_reach_the_gateway(compose: Compose, service: str) -> None:
    """Without tokens, whoever reaches the gateway may do everything."""
    connect = "import socket, sys; socket.create_connection((sys.argv[1], 8080), 2)"
    networks = compose.inspect("gateway")["NetworkSettings"]["Networks"].values()
    for host in ("gateway", "gateway-published", *(network["IPAddress"] for network in networks)):
        assert compose("exec", "-T", service, "python", "-c", connect, host, check=False).returncode != 0, host
    compose("exec", "-T", "loadtest", "python", "-c", connect, "gateway-published")


@pytest.mark.parametrize("service", ["gateway", "loadtest", "tensorflow-trainer", "pytorch-trainer"])
def test_a_service_has_one_password_that_only_it_can_read(compose: Compose, service: str) -> None:
    listing = compose("exec", "-T", service, "find", "/state/secrets", "-type", "f", "-printf", "%p %m %U\\n").stdout
    assert listing.split() == ["/state/secrets/redis-password", "600", "10001"]


def test_redis_refuses_clients_without_a_login_and_the_gateway_cannot_administer(compose: Compose) -> None:
    assert "NOAUTH" in compose("exec", "-T", "redis", "redis-cli", "GET", "x").stdout
    script = (
        "from shared.jobs.connection import connect; from shared.settings import Settings\n"
        "connect(Settings.from_env(), patient=False).config_get('dir')"
    )
    answer = compose("exec", "-T", "gateway", "python", "-c", script, check=False)
    assert "NoPermissionError" in answer.stderr


def test_a_damaged_file_of_redis_is_reported_with_the_command_that_repairs_it(compose: Compose) -> None:
    def run(script: str) -> subprocess.CompletedProcess[str]:
        return compose("run", "--rm", "--no-deps", "-T", "redis", "sh", "-c", script)

    compose("stop", "redis")
    try:
        run(f"cp {FILE} /data/copy")
        start_of_command = f"head -c $((size / 2)) {FILE} | grep -a -b '^\\*' | tail -n 1 | cut -d: -f1"
        write = f"printf XX | dd of={FILE} bs=1 seek=$start conv=notrunc"
        run(f"size=$(wc -c < {FILE}); start=$({start_of_command}); {write}")
        answer = compose("run", "--rm", "--no-deps", "-T", "redis", check=False)
        assert answer.returncode == 1
        found = re.search(r"damaged after byte .*: (docker compose .*)$", answer.stdout, re.MULTILINE)
        assert found, answer.stdout
        environ = {**compose.environ, "COMPOSE_PROJECT_NAME": PROJECT}
        # Without a terminal, Compose needs -T to pass the answer "y" on.
        command = found[1].replace(" run ", " run -T ")
        repair = subprocess.run(
            command, shell=True, env=environ, input="y\n", text=True, capture_output=True, check=False
        )
        assert repair.returncode == 0, repair.stdout + repair.stderr
        compose("up", "-d", "--wait", "redis")
    finally:
        compose("stop", "redis")
        run(f"mv /data/copy {FILE}")
        compose("up", "-d", "--wait")
