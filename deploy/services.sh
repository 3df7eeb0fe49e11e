#!/usr/bin/env bash
# A process per service on one host: a broker with a user and permissions for each, then each of them, until Ctrl-C.
#
#     deploy/services.sh [DATA FOLDER]
#
# Scale any of them by starting more: CALLBOARD_NATS=$(cat DATA/urls/planner) python -m callboard_services.planner
# Some need an extra: pip install 'callboard[ledger,memory,otlp]' archives runs that ended and signs audits, remembers,
# and sends traces. What is not installed is left out.
set -euo pipefail

data=${1:-${CALLBOARD_DATA:-$HOME/.callboard}}
python=${PYTHON:-python}
export CALLBOARD_HTTP=${CALLBOARD_HTTP:-127.0.0.1:8420}
mkdir -p "$data"

processes=()
start() { # start NAME COMMAND…: returns once it says that it is ready
    local name=$1 line
    shift
    exec {out}< <(exec "$@")
    processes+=($!)
    while read -r -u "$out" line; do
        [[ $line == *ready ]] && { echo "$line"; return; }
    done
    echo "$name did not start" >&2
    exit 1
}

stop() { # in order: nothing new is taken, what runs finishes, those that record it, the broker
    trap - EXIT INT TERM
    for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
        kill -TERM "${processes[i]}" 2>/dev/null || true
        while kill -0 "${processes[i]}" 2>/dev/null; do sleep 0.05; done
    done
}
trap stop EXIT
trap 'exit 0' INT TERM

start server "$python" -m callboard.server --data "$data" --port "${CALLBOARD_PORT:-4222}"
services=(ledger guard approval planner tools models)
if "$python" -c 'import importlib.util as find; exit(find.find_spec("lancedb") is None)'; then
    services+=(memory)
fi
for service in "${services[@]}" gateway; do
    url=$(<"$data/urls/$service")
    CALLBOARD_NATS=$url start "$service" "$python" -m "callboard_services.$service" --data "$data"
done
echo "ready: http://$CALLBOARD_HTTP"
while sleep 1; do
    for process in "${processes[@]}"; do
        kill -0 "$process" 2>/dev/null || { echo "a service ended; stopping the others" >&2; exit 1; }
    done
done
