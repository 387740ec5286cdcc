#!/bin/bash
# healthcheck.sh [PORT]: whether the collector beside it is ready to take reports, by /readyz on the operators' loopback
# listener. In bash alone, since the image has no HTTP client.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${1:-8444}"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
