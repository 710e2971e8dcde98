"""The table of containers in SECURITY.md, and the same facts read from a container."""

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

from tests.compose.conftest import COMMAND, ONE_SHOT, PROJECT, Compose

IN_MEMORY = {"/tmp", "/dev/shm", "/dev/mqueue"}  # writable in every container, and not in the table
LISTENING = "0A"  # a state in /proc/net/tcp
# Addresses that only the container itself reaches: 127.0.0.0/8, in which Docker answers questions about names, and ::1.
LOOPBACK = re.compile(r"[0-9A-F]{6}7F|0{24}01000000")
# Prints the user and the capabilities of every process, every mounted path that this user may write, and the sockets.
# The engine's own process runc starts each health check, and gives up its rights before it runs the command.
# Under /proc, Docker mounts its null device on files that a container must not read.
PROBE = """
for status in /proc/[0-9]*/status; do
  grep -q '^Name:.runc:' $status || grep -h -E '^(Uid|Cap[A-Z][a-z]+):' $status
done
awk '{print $2}' /proc/mounts | sort -u | while read -r path; do [ -w "$path" ] && echo "writable: $path"; done
for table in /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6; do
  [ -r $table ] && awk -v table=$table '$1 ~ /:$/ {print "socket:", table, $2, $4}' $table
done
true
"""


@dataclass(frozen=True)
class Container:
    """What a container may do: one row of the table. The text below it says that no process has a capability."""

    user: str
    capabilities: frozenset[str]
    writable_paths: frozenset[str]
    networks: frozenset[str]
    ports: frozenset[str]


def _split(cell: str) -> frozenset[str]:
    return frozenset(part.strip().strip("`") for part in cell.split(",")) - {"none"}


def read_rows(first_column: str) -> list[list[str]]:
    """Return the cells of the rows of the table in SECURITY.md whose first column has this title."""
    _, _, after = Path("SECURITY.md").read_text().partition(f"| {first_column} |")
    lines = after.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def read_table() -> dict[str, Container]:
    """Return what SECURITY.md says about each service."""
    return {
        service.strip("`"): Container(user, frozenset(), _split(paths), _split(networks), _split(ports))
        for service, user, paths, networks, ports in read_rows("service")
    }


def describe(compose: Compose, service: str) -> Container:
    """Return what a container may do, as its own processes see it.

    A path of the table that contains `*` stands for the paths that match it. A service that runs once is started again
    with another command, and so is the command `tandem`, which has no container otherwise.
    """
    run = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh")
    start = run if service in {COMMAND, *ONE_SHOT} else ("exec", "-T")
    shell = () if start is run else ("sh",)
    report = compose(*start, service, *shell, "-c", PROBE).stdout
    users = {number for line in re.findall(r"^Uid:(.*)$", report, re.MULTILINE) for number in line.split()}
    masks = re.findall(r"^(Cap\w+):\s*([0-9a-f]+)$", report, re.MULTILINE)
    paths = set(re.findall(r"^writable: (?!/proc/)(.*)$", report, re.MULTILINE)) - IN_MEMORY
    patterns = [path for path in read_table()[service].writable_paths if "*" in path]
    named = {next((one for one in patterns if fnmatch.fnmatch(path, one)), path) for path in paths}
    if service == COMMAND:
        networks = compose.configuration()["services"][service]["networks"]
    else:
        networks = compose.inspect(service)["NetworkSettings"]["Networks"]
    return Container(
        user=",".join(sorted(users)),
        capabilities=frozenset(f"{name}={mask}" for name, mask in masks if int(mask, 16)),
        writable_paths=frozenset(named),
        networks=frozenset(name.removeprefix(f"{PROJECT}_") for name in networks) - {"none"},
        ports=frozenset(_listening_ports(report)),
    )


def _listening_ports(report: str) -> set[str]:
    """Return the ports at which a container listens to others, with `/udp` after those of UDP."""
    found = set()
    for table, address, state in re.findall(r"^socket: /proc/net/(\w+) (\S+) (\S+)$", report, re.MULTILINE):
        host, port = address.split(":")
        is_udp = table.startswith("udp")
        if not LOOPBACK.fullmatch(host) and (is_udp or state == LISTENING):
            found.add(f"{int(port, 16)}{'/udp' if is_udp else ''}")
    return found
