#!/bin/bash
# swtpm-down.sh DIR : stops the software TPM that `swtpm-up.sh DIR` started. Its state stays; stopping twice is fine.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: ${0##*/} DIR" >&2; exit 64; }
dir=$(cd "$1" && pwd)
pid=$(cat "$dir/swtpm.pid" 2>/dev/null || true)

# A pid can have passed on to another program since: only one that works on this state is ended.
ours() { [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/state"; }

if ours; then
  kill "$pid"
  for _ in $(seq 50); do
    ours || break
    sleep 0.1
  done
  if ours; then
    echo "swtpm-down: process $pid did not end within 5 s of SIGTERM" >&2
    exit 1
  fi
fi
rm -f "$dir/swtpm.pid" "$dir/tcti"
