"""Makes the secrets of a Kubernetes cluster: what `shared/jobs/container_secrets.py` does for Docker Compose.

    kubectl get secrets -o json | python -m services.gateway.cluster_secrets | kubectl apply --server-side -f -

It reads the secrets that exist, keeps them, and prints those that Tandem needs as a Kubernetes list. So it can be run
again, for example for a new backend. It runs in the gateway's image, and nothing is written to a disk. The texts of new
tokens go to the standard error, and are shown once.

    <service>-redis   the password of the service's Redis user; only this service mounts it
    redis-users       the users of Redis, with checksums of the passwords
    job-key           the key that signs jobs
    first-tokens      the first access tokens, as checksums: `admin`, and `keda` with the scope read
    keda-token        the text of the token `keda`
"""

import argparse
import base64
import binascii
import json
import re
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from pydantic import ValidationError

from services.gateway.access.token_store import TokenFile
from services.gateway.access.tokens import TokenTable, make_token
from services.gateway.scopes import ALL_SCOPES, Scope
from shared.jobs.redis_users import DEFAULT_USER_RULE, HEALTH_RULE, PASSWORD_BYTES, list_users
from shared.settings import Settings

USERS, KEY, TOKENS, KEDA = "redis-users", "job-key", "first-tokens", "keda-token"
KEY_BYTES = 32
TRAINER_SECRET = re.compile("(.+)-trainer-redis")
Secrets = dict[str, dict[str, bytes]]
"""Name of a secret -> name of a file in it -> content."""


class ClusterSecrets:
    """The secrets of one cluster.

    Args:
        existing: secrets that the cluster has.
        backends: the backends' names.

    Attributes:
        found: all secrets that Tandem needs. Those that existed have their old content.
        shown: lines for the operator about new tokens, with their texts.
    """

    def __init__(self, existing: Mapping[str, Mapping[str, bytes]], backends: Sequence[str]) -> None:
        self.shown: list[str] = []
        self.found: Secrets = {}
        self._existing = existing
        rules = [DEFAULT_USER_RULE, HEALTH_RULE]
        # A backend that was added once keeps its user, also if it is not named this time.
        known = [match[1] for match in map(TRAINER_SECRET.fullmatch, existing) if match]
        for user in list_users(dict.fromkeys([*backends, *known])):
            secret, file = f"{user.name}-redis", "redis-password"
            password = self._kept(secret, file) or secrets.token_hex(PASSWORD_BYTES).encode()
            self.found[secret] = {file: password}
            rules.append(user.to_rule(password.decode(), has_read_only_keys=True))
        self.found[USERS] = {"users.acl": "\n".join([*rules, ""]).encode()}
        self.found[KEY] = {"job.key": self._kept(KEY, "job.key") or secrets.token_bytes(KEY_BYTES)}
        tokens = self._kept(TOKENS, "tokens.json")
        self._tokens = TokenFile.model_validate_json(tokens).tokens if tokens else []
        if not self._tokens:
            self.add_token("admin", ["admin"])
        self._keep_keda_token()

    def add_token(self, name: str, scopes: list[Scope]) -> None:
        """Make a token, and have its text shown. Only clusters whose token file is a secret need this later."""
        self.shown.append(f"The token {name!r} ({', '.join(scopes)}), shown once: {self._make_token(name, scopes)}")
        self._store_tokens()

    def revoke_token(self, identity: str) -> None:
        """Remove a token from the file of first tokens. If it was KEDA's, KEDA gets another one.

        Raises:
            ValueError: there is no token of this id, or it is the last one with the scope admin.
        """
        kept = [record for record in self._tokens if record.id != identity]
        if len(kept) == len(self._tokens):
            known = ", ".join(f"{token.id} ({token.name})" for token in self._tokens)
            raise ValueError(f"there is no token {identity!r}, but these: {known}")
        if not TokenTable(self._tokens).has_other_admin(identity, datetime.now(UTC)):
            raise ValueError("this is the last token with the scope admin: add another one before you revoke it")
        self._tokens = kept
        self._keep_keda_token()

    def _keep_keda_token(self) -> None:
        """Keep KEDA's token if it still counts. Without one, no trainer would ever be started."""
        text = (self.found.get(KEDA) or self._existing.get(KEDA, {})).get("token", b"").decode(errors="replace")
        if TokenTable(self._tokens).find(text, time.time()) is None:
            text = self._make_token("keda", ["read"])
        self.found[KEDA] = {"token": text.encode()}
        self._store_tokens()

    def to_json(self) -> str:
        """Return the secrets as a Kubernetes list."""
        items = [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "tandem"}},
                "type": "Opaque",
                "data": {file: base64.b64encode(content).decode() for file, content in files.items()},
            }
            for name, files in self.found.items()
        ]
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2)

    def _kept(self, secret: str, file: str) -> bytes | None:
        return self._existing.get(secret, {}).get(file)

    def _make_token(self, name: str, scopes: list[Scope]) -> str:
        new = make_token(name, scopes, days=None)
        self._tokens = [*self._tokens, new.record]
        return new.text

    def _store_tokens(self) -> None:
        self.found[TOKENS] = {"tokens.json": TokenFile(tokens=self._tokens).model_dump_json().encode()}


def read_secrets(text: str) -> Secrets:
    """Return the secrets in what `kubectl get secrets -o json` prints.

    Raises:
        ValueError: the text is something else. Without any secret, `kubectl` prints an empty list, so an empty text
            means that it failed. New secrets would lock every service out.
    """
    if not text.strip():
        raise ValueError("`kubectl get secrets -o json` printed nothing, so it failed")
    try:
        return {
            item["metadata"]["name"]: {
                file: base64.b64decode(content) for file, content in (item.get("data") or {}).items()
            }
            for item in json.loads(text)["items"]
        }
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error):
        raise ValueError("the input is not what `kubectl get secrets -o json` prints") from None


def main(arguments: Sequence[str], source: TextIO = sys.stdin) -> int:
    """Read the secrets that exist, and print all that are needed.

    Returns:
        The exit status: 1 if the input cannot be used or a token cannot be revoked. Then `kubectl` gets nothing.
    """
    parser = argparse.ArgumentParser(prog="cluster_secrets", description="Make the secrets of a Kubernetes cluster.")
    parser.add_argument("--add-token", metavar="NAME", help="make one more token; only where the tokens are a secret")
    parser.add_argument("--scope", action="append", choices=sorted(ALL_SCOPES), help="what the new token allows")
    parser.add_argument("--revoke-token", metavar="ID", help="remove a token; only where the tokens are a secret")
    parsed = parser.parse_args(arguments)
    if parsed.add_token and not parsed.scope:
        parser.error("--add-token needs --scope")
    try:
        found = ClusterSecrets(read_secrets(source.read()), Settings.from_env().backends)
        if parsed.revoke_token:
            found.revoke_token(parsed.revoke_token)
    except ValidationError:
        print("The secret first-tokens does not contain a file of tokens.", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"Nothing was changed: {error}.", file=sys.stderr)
        return 1
    if parsed.add_token:
        found.add_token(parsed.add_token, parsed.scope)
    if parsed.add_token or parsed.revoke_token:
        found.shown.append(
            "This changes what the gateway accepts where the tokens are a secret (the overlay s3). With volumes it does"
            " not: use `tandem token` instead."
        )
    print(found.to_json())
    for line in found.shown:
        print(line, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
