#!/usr/bin/env bash
# The demo: a collector, a real probe of this machine with a software TPM, and probes that carry the raw outputs of
# three Active Directory sites with different fates. It prints the verdicts with their reasons and stays up until
# Ctrl-C (or ends by itself with `--once`). Everything it makes is under .demo/ and goes with it.
#
# MUSTER_DEMO_PORT and MUSTER_DEMO_DIR choose another port and folder, so that two can run side by side;
# MUSTER_DEMO_KEEP=1 leaves the folder. MUSTER_DEMO_BIN names a folder with programs that are built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ONCE=${MUSTER_DEMO_ONCE:-}
[ "${1:-}" = --once ] && ONCE=1
PORT=${MUSTER_DEMO_PORT:-18443}
OPERATOR_PORT=$((PORT + 1))
DEMO=${MUSTER_DEMO_DIR:-$PWD/.demo}
BIN=${CARGO_TARGET_DIR:-target}/debug
FOREST=corp.example

say() { printf '\n\033[1m%s\033[0m\n' "$*" | { if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# --- build ---------------------------------------------------------------------------------------------------------------
if [ -n "${MUSTER_DEMO_BIN:-}" ]; then
  BIN=$MUSTER_DEMO_BIN
else
  say "Building (the first time takes some minutes)"
  cargo build --locked -q -p muster-probe -p muster-collector -p muster-cli
fi
BIN=$(cd "$BIN" && pwd)

# --- clean up, whatever happens ------------------------------------------------------------------------------------------
PIDS=()
stop_all() {
  trap - EXIT INT TERM
  for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  [ -e "$DEMO/tpm/swtpm.pid" ] && kill "$(cat "$DEMO/tpm/swtpm.pid")" 2>/dev/null || true
  [ -n "${MUSTER_DEMO_KEEP:-}" ] || rm -rf "$DEMO"
}
trap stop_all EXIT
trap 'stop_all; exit 0' INT TERM
if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
  trap - EXIT
  fail "port $PORT answers already: is another demo running? (MUSTER_DEMO_PORT chooses another)"
fi
rm -rf "$DEMO"
mkdir -p "$DEMO/log"

# start NAME COMMAND...: runs it in the background with its output in .demo/log/NAME.log.
start() {
  local name=$1
  shift
  "$@" > "$DEMO/log/$name.log" 2>&1 &
  PIDS+=("$!")
  echo "$!" > "$DEMO/log/$name.pid"
}

# --- a laboratory CA and the raw outputs of the machines -----------------------------------------------------------------
say "Making a laboratory CA and the raw outputs of twelve machines in three sites"
HERE=$(hostname | tr 'A-Z_' 'a-z-' | sed 's/\..*//').$FOREST
"$BIN/muster-collector" pki init "$DEMO/ca" --name "Muster Demo CA" > "$DEMO/log/pki.log"
"$BIN/muster-collector" pki issue "$DEMO/ca" collector localhost 127.0.0.1 >> "$DEMO/log/pki.log"
for host in "$HERE" relay-rotterdam.$FOREST relay-lyon.$FOREST relay-oslo.$FOREST dc21.$FOREST; do
  "$BIN/muster-collector" pki issue "$DEMO/ca" probe "$host" >> "$DEMO/log/pki.log"
done
deploy/demo/captures.sh "$DEMO/captures"

# --- the collector -------------------------------------------------------------------------------------------------------
cat > "$DEMO/collector.toml" <<TOML
inventory_file = "inventory.toml"
policy_file = "policy.toml"
default_forest = "$FOREST"

[store]
path = "store"

[probes]
listen = ["127.0.0.1:$PORT"]
certificate = "ca/localhost.pem"
key = "ca/localhost.key"
ca = "ca/ca.pem"

[operators]
listen = ["127.0.0.1:$OPERATOR_PORT"]

[cadence]
domain_controller = "3s"
directory = "5s"
endpoint = "5s"

[[grant]]
role = "relay"
hosts = ["relay-*.$FOREST"]

[[grant]]
role = "domain-controller"
hosts = ["dc*.$FOREST", "relay-*.$FOREST"]

[[grant]]
role = "directory"
hosts = ["reader.$FOREST", "relay-*.$FOREST"]
TOML
cat > "$DEMO/inventory.toml" <<TOML
[[forest]]
name = "$FOREST"

[[forest.site]]
name = "Rotterdam"
dcs = ["dc01.$FOREST", "dc02.$FOREST"]
endpoints = 4

[[forest.site]]
name = "Lyon"
dcs = ["dc11.$FOREST"]
endpoints = 3

[[forest.site]]
name = "Oslo"
dcs = ["dc21.$FOREST"]
endpoints = 2
TOML
# An hour is right for a fleet and too long for a demo: here a domain controller is a gap after half a minute.
printf 'dc_fresh_seconds = 30\n' > "$DEMO/policy.toml"
say "Starting the collector on sled"
start collector "$BIN/muster-collector" serve --config "$DEMO/collector.toml"
MUSTER=("$BIN/muster" --collector "http://127.0.0.1:$OPERATOR_PORT")
for _ in $(seq 100); do
  "${MUSTER[@]}" sites > /dev/null 2>&1 && break
  kill -0 "$(cat "$DEMO/log/collector.pid")" 2>/dev/null || { cat "$DEMO/log/collector.log" >&2; fail "the collector ended"; }
  sleep 0.2
done

# --- the probes ----------------------------------------------------------------------------------------------------------
# probe NAME HOST SETTINGS: a real probe process with a certificate of its own.
probe() {
  cat > "$DEMO/$1.toml" <<TOML
collector = ["localhost:$PORT"]
state_dir = "$DEMO/state-$1"
forest = "$FOREST"
$3

[identity]
certificate = "$DEMO/ca/$2.pem"
key = "$DEMO/ca/$2.key"
collector_ca = "$DEMO/ca/ca.pem"

[report]
interval = "3s"
interval_min = "1s"
TOML
  start "$1" "$BIN/muster-probe" run --now --config "$DEMO/$1.toml"
}
say "Starting a software TPM and five probes"
TCTI=$(tests/lab/swtpm-up.sh "$DEMO/tpm" 2.0)
probe this-machine "$HERE" "tpm = \"$TCTI\"
site = \"Rotterdam\""
probe rotterdam relay-rotterdam.$FOREST "captures = \"$DEMO/captures/rotterdam\""
probe lyon relay-lyon.$FOREST "captures = \"$DEMO/captures/lyon\""
probe oslo relay-oslo.$FOREST "captures = \"$DEMO/captures/oslo\""
probe dc21 dc21.$FOREST "captures = \"$DEMO/captures/oslo-dc\""

# Raw outputs say how things were when they were taken. On real machines a scheduled task takes them again and again;
# here a loop does, so that what ages in this demo is only what is really stopped.
retake() { while sleep 5; do find "$DEMO/captures" -type f -exec touch {} + 2>/dev/null || return 0; done; }
retake &
PIDS+=("$!")

# await SECONDS SITE=VERDICT...: waits until the sites have these verdicts.
await() {
  local limit=$1 found
  shift
  for _ in $(seq "$limit"); do
    found=$("${MUSTER[@]}" sites --format json 2>/dev/null | jq -r '.sites[] | .name + "=" + .rollout' || true)
    local all=1
    for want in "$@"; do grep -qxi "$want" <<< "$found" || all=; done
    [ -n "$all" ] && return 0
    sleep 1
  done
  "${MUSTER[@]}" sites >&2 || true
  tail -n 5 "$DEMO"/log/*.log >&2
  fail "after $limit s the sites are not $* but: $(tr '\n' ' ' <<< "$found")"
}
await 60 Rotterdam=Go Lyon=Hold Oslo=Go
say "All three sites report"
"${MUSTER[@]}" sites

say "Stopping the probe of Oslo's only domain controller: in half a minute its evidence is too old to be believed"
kill "$(cat "$DEMO/log/dc21.pid")"
await 90 Rotterdam=Go Lyon=Hold Oslo=Unknown
say "Which sites can go?"
"${MUSTER[@]}" sites
say "Why is Lyon held?"
"${MUSTER[@]}" site Lyon
say "And the domain controller itself?"
"${MUSTER[@]}" host dc11

say "Look further"
cat <<TXT
  http://127.0.0.1:$OPERATOR_PORT/                  the same in a browser: sites, hosts, users, with reasons and remedies
  alias muster='$BIN/muster --collector http://127.0.0.1:$OPERATOR_PORT'
  muster site Oslo                        why a stopped probe is a gap and not health
  muster host $HERE     this machine, with its software TPM
  muster hosts --standing blocked         every machine that is blocked
  muster user S-1-5-21-3402785121-1195827043-2687511903-1104   a user whose key reached the directory
  muster transitions                      what changed, when and why
  muster watch                            follow the changes
  $BIN/muster-probe check --captures $DEMO/captures/lyon     the same judgement without a collector
TXT
if [ -n "$ONCE" ]; then
  say "Done"
  exit 0
fi
say "The demo stays up. Ctrl-C ends it and removes what it made."
# In the background and waited for, so that a signal is heeded at once and not after the hour.
while :; do
  sleep 3600 &
  PIDS+=("$!")
  wait "$!"
done
