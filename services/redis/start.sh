#!/bin/sh
# Start Redis in its container, unless its file is damaged.
sh /tandem/check-file.sh /data redis-check-aof \
    "docker compose stop redis && docker compose run --rm --no-deps redis redis-check-aof" || exit 1

exec redis-server /tandem/redis.conf --dir /data --aclfile /users/users.acl
