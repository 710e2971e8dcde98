#!/bin/sh
# Start Redis in its container, unless its file is damaged.
sh /tandem/check-file.sh /data redis-check-aof "docker compose run --rm --no-deps redis redis-check-aof" || exit 1

# Redis' protected mode would refuse all other containers, because the default user has no password. That user may only
# send PING.
exec redis-server /tandem/redis.conf --protected-mode no --dir /data --aclfile /users/users.acl
