"""Creates the secrets of the containers at the first start: `python -m shared.jobs.container_secrets <folder>`.

The folder contains one volume per service, `<folder>/<service>`. A service mounts only its own volume, so it can read
no password but its own. Secrets that exist are kept. A new backend gets its password at the next start.

    <folder>/<service>/redis-password    the password of the service's Redis user
    <folder>/redis/users.acl             the users of Redis, with checksums of the passwords

The key that signs jobs is created at `TANDEM_KEY_FILE`.
"""

import sys
from pathlib import Path

from shared.jobs.redis_users import list_users, write_users
from shared.jobs.signing import signing_key
from shared.settings import Settings


def main(folder: Path) -> int:
    """Create what is missing, and write the users of Redis.

    Returns:
        The exit status of the process: 1 if a folder cannot be written.
    """
    settings = Settings.from_env()
    users = {user: folder / user.name / "redis-password" for user in list_users(settings.backends)}
    try:
        signing_key(settings.key_file)
        # Redis runs as another user than the other services. Its volume is mounted by no other service.
        write_users(folder / "redis/users.acl", users, has_read_only_keys=True, mode=0o644)
    except OSError as error:
        print(f"A secret cannot be written: {error}. Each backend needs a volume at {folder}/<backend>-trainer.")
        return 1
    print(f"The secrets of {', '.join(user.name for user in users)} are ready.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
