#!/bin/sh
# Check the append-only file of Redis before Redis starts.
#
#   check-file.sh <folder of Redis> <command that runs redis-check-aof> [<the same command, as a user types it>]
#
# Exit status 0: Redis can start. If only the last write is incomplete, Redis itself removes it.
# Exit status 1: the file is damaged. One line on standard output names the command that repairs it.
folder=$1
program=$2
typed=${3:-$2}

if [ -f "$folder/appendonlydir/appendonly.aof.manifest" ]; then # Redis 7 writes several files, and a list of them
    checked=$folder/appendonlydir/appendonly.aof.manifest
    last=$folder/appendonlydir/$(awk '$6 == "i" { file = $2 } END { print file }' "$checked")
else # Redis 6 writes one file
    checked=$folder/appendonly.aof
    last=$checked
fi
[ -s "$checked" ] || exit 0
report=$("$program" "$checked" 2>&1 < /dev/null) && exit 0
case $report in
    *AOF*) ;;
    *) echo "The file of Redis was not checked: $program does not run: $report" >&2 && exit 0 ;;
esac

# The last line like "AOF analyzed: filename=x, size=3, ok_up_to=2, ..." belongs to the damaged file. Redis 6 names none.
analyzed=$(printf '%s\n' "$report" | grep -a "^AOF analyzed:" | tail -n 1)
name=$(printf '%s\n' "$analyzed" | sed -n 's/.*filename=\([^,]*\),.*/\1/p')
valid=$(printf '%s\n' "$analyzed" | sed -n 's/.*ok_up_to=\([0-9]*\),.*/\1/p')
if [ -z "$valid" ] || [ "${name:-$(basename "$last")}" != "$(basename "$last")" ]; then
    echo "The file of Redis in $folder is damaged, and redis-check-aof cannot repair it. Restore a copy of this folder," \
        "or move the folder away: Tandem then starts without records of jobs. Models are not affected."
    exit 1
fi

# An incomplete last write is one command, or one transaction without its EXEC. Everything else is damage: Redis would
# not start, or it would remove complete writes that stand after the damage.
cr=$(printf '\r')
rest() { tail -c "+$((valid + 1))" "$last" && echo "(end)"; } # so that a last line without a newline does not count
case $(rest | head -c 13 | tr -d '\r\n') in
    '*1$5MULTI') complete=$(rest | grep -a -c "^EXEC$cr\$") ;;
    '*'*) complete=$(rest | grep -a "^\*[0-9][0-9]*$cr\$" | tail -n +2 | grep -c .) ;;
    *) complete=1 ;;
esac
case $report in *"Expected prefix"* | *"format error"*) complete=1 ;; esac
[ "$complete" -gt 0 ] || exit 0

echo "The file of Redis is damaged after byte $valid of $(wc -c < "$last"). This command keeps the bytes before the" \
    "damage and removes those after it: $typed --fix $checked"
exit 1
