#!/usr/bin/env bash
# Restarts every running process of groundswell.target, one after the other, so that no request fails and nothing is lost.
# After an update or a change of /etc/groundswell/env:
#
#     systemctl start groundswell-migrate && deploy/rolling-restart.sh
#
# Webs that listen elsewhere than on 127.0.0.1 (docs/deploying.md, "Several machines"):
#
#     HOST=10.0.0.5 SETTLE_SECONDS=10 deploy/rolling-restart.sh
#
# Each web is asked until it can work, and the proxy given time to come back to it, before the next one ends. It stops at the
# first that does not come back: the others go on as they were.
set -euo pipefail

HOST=${HOST:-127.0.0.1}
READY_SECONDS=${READY_SECONDS:-60} SETTLE_SECONDS=${SETTLE_SECONDS:-3}  # longer than fail_timeout in deploy/nginx.conf

running() {  # pattern: the instances that run, and those that wait to be started again
    systemctl list-units --plain --no-legend --state=active,activating "$1" | cut -d' ' -f1
}
ready() {  # port
    curl --fail --silent --output /dev/null --max-time 4 --header 'Host: localhost' "http://$HOST:$1/readyz"
}
port_of() {  # groundswell-web@8000.service
    local port=${1#*@}
    echo "${port%.service}"
}
die() { echo "rolling-restart: $*" >&2; exit 1; }

for unit in $(running 'groundswell-web@*') $(running 'groundswell-staff@*'); do
    port=$(port_of "$unit")
    echo "$unit"
    systemctl restart "$unit"
    for ((waited = 0; ; waited++)); do
        ready "$port" && break
        [[ $waited -lt $READY_SECONDS ]] || die "$unit is not ready: journalctl --unit $unit"
        sleep 1
    done
    sleep "$SETTLE_SECONDS"
done
for unit in $(running 'groundswell-worker@*') $(running 'groundswell-pulse@*'); do
    echo "$unit"
    systemctl restart "$unit"
    sleep "$SETTLE_SECONDS"
    systemctl is-active --quiet "$unit" || die "$unit does not run: journalctl --unit $unit"
done
