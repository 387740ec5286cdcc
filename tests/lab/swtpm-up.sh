#!/bin/bash
# swtpm-up.sh DIR [2.0|1.2] : makes (once) and starts a software TPM, and prints its TCTI string, such as
# `swtpm:host=127.0.0.1,port=21734`, as the only line on stdout.
#
# - Everything lives in DIR: the chip's state, its certificate authority, logs, the pid in DIR/swtpm.pid and the string
#   in DIR/tcti. A chip that runs already is left running and its string printed again;
#   `swtpm-down.sh DIR` stops it; started again, it is the same chip.
# - A free pair of ports on 127.0.0.1 is taken: commands on the first, control on the next, as the TCTI expects.
# - A 2.0 chip has endorsement certificates from the private authority DIR/ca: RSA-2048 at 0x01C00002, P-384 at
#   0x01C00016 (both written by swtpm_setup) and P-256 at 0x01C0000A, where most real chips carry theirs.
# - A 1.2 chip is owned, with well-known secrets, and answers a 2.0 command with a 1.2 error.
#
# Needs swtpm, swtpm-tools, tpm2-tools, openssl and xxd; deploy/setup.sh installs them. Without them it ends with 77,
# the status by which a test run knows "cannot be run here" from "failed".
set -euo pipefail

[ $# -ge 1 ] || { echo "usage: ${0##*/} DIR [2.0|1.2]" >&2; exit 64; }
kind=${2:-2.0}
case $kind in
  2.0) family=(--tpm2) ;;
  1.2) family=() ;;
  *) echo "unknown kind of TPM \`$kind\` (known: 2.0, 1.2)" >&2; exit 64 ;;
esac
for tool in swtpm swtpm_setup swtpm_localca swtpm_cert tpm2_createek openssl xxd; do
  command -v "$tool" >/dev/null || { echo "swtpm-up: \`$tool\` is not installed" >&2; exit 77; }
done
mkdir -p "$1"
dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# --- the chip, made once ---------------------------------------------------------------------------------------------

make_chip() {
  # Left over from an attempt that was interrupted: a half-made chip is no chip.
  rm -rf "$dir/state" "$dir/ca"
  mkdir -p "$dir/state" "$dir/ca"
  cat >"$dir/localca.conf" <<CONF
statedir = $dir/ca
signingkey = $dir/ca/signkey.pem
issuercert = $dir/ca/issuercert.pem
certserial = $dir/ca/certserial
CONF
  cat >"$dir/localca.options" <<CONF
--platform-manufacturer MusterLab
--platform-version 1.0
--platform-model SoftwareTPM
CONF
  cat >"$dir/setup.conf" <<CONF
create_certs_tool = $(command -v swtpm_localca)
create_certs_tool_config = $dir/localca.conf
create_certs_tool_options = $dir/localca.options
active_pcr_banks = sha256,sha1
CONF
  local options=(--tpm-state "$dir/state" --config "$dir/setup.conf" --create-ek-cert --overwrite --logfile "$dir/setup.log")
  if [ "$kind" = 2.0 ]; then
    options+=(--tpm2 --create-platform-cert --ecc --pcr-banks "sha256,sha1")
  else
    options+=(--take-ownership --owner-well-known --srk-well-known)
  fi
  if ! swtpm_setup "${options[@]}" >&2; then
    tail -n 20 "$dir/setup.log" >&2
    return 1
  fi
}

# The P-256 endorsement certificate, signed by the same authority over the key the chip derives.
add_p256_certificate() {
  local work=$dir/p256 point
  mkdir -p "$work"
  tpm2_createek -G ecc -c "$work/ek.ctx" -u "$work/ek.pub" -f pem >/dev/null
  tpm2_flushcontext -t
  # The last 64 bytes of the DER form are X and Y.
  point=$(openssl ec -pubin -in "$work/ek.pub" -outform der 2>/dev/null | tail -c 64 | xxd -p -c 64)
  swtpm_cert --tpm2 --ecc-x "${point:0:64}" --ecc-y "${point:64:64}" --ecc-curveid secp256r1 \
    --signkey "$dir/ca/signkey.pem" --issuercert "$dir/ca/issuercert.pem" --out-cert "$work/ek.der" --days 3650 \
    --subject CN=software-tpm --tpm-manufacturer id:00001014 --tpm-model swtpm --tpm-version id:20191023 \
    --tpm-spec-family 2.0 --tpm-spec-level 0 --tpm-spec-revision 164 >/dev/null
  # Defined with the attributes a manufacturer uses: readable by anyone, written by the platform alone.
  tpm2_nvdefine 0x01c0000a -C p -s "$(stat -c %s "$work/ek.der")" \
    -a "ppwrite|writedefine|ppread|ownerread|authread|no_da|platformcreate" >/dev/null
  tpm2_nvwrite 0x01c0000a -C p -i "$work/ek.der"
  rm -rf "$work"
}

# --- the daemon ------------------------------------------------------------------------------------------------------

running() {
  local pid
  pid=$(cat "$dir/swtpm.pid" 2>/dev/null) && [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/state"
}

start_daemon() {
  local port
  for _ in $(seq 20); do
    # Below the range the kernel hands out for port 0, so that no other test is given it in between; even, so that pairs
    # of two chips do not overlap. Taken ports are simply tried past.
    port=$((20000 + 2 * (RANDOM % 5000)))
    rm -f "$dir/swtpm.pid"
    # not-need-init and startup-clear: the daemon powers the chip up itself, and goes on when a client disconnects.
    if swtpm socket "${family[@]}" --tpmstate "dir=$dir/state" --server "type=tcp,bindaddr=127.0.0.1,port=$port" \
      --ctrl "type=tcp,bindaddr=127.0.0.1,port=$((port + 1))" --flags not-need-init,startup-clear \
      --pid "file=$dir/swtpm.pid" --log "file=$dir/swtpm.log" --daemon 2>"$dir/start.log"; then
      echo "swtpm:host=127.0.0.1,port=$port" >"$dir/tcti"
      return
    fi
    grep -qiE 'address already in use|could not (open|bind)' "$dir/start.log" "$dir/swtpm.log" || break
  done
  cat "$dir/start.log" >&2
  tail -n 5 "$dir/swtpm.log" >&2 || true
  return 1
}

if [ -e "$dir/kind" ] && [ "$(cat "$dir/kind")" != "$kind" ]; then
  echo "swtpm-up: \`$dir\` holds a TPM $(cat "$dir/kind"), not $kind" >&2
  exit 64
fi
if [ ! -e "$dir/kind" ]; then
  # Whatever an interrupted attempt left running goes first, and this one leaves nothing running if it fails.
  "$here/swtpm-down.sh" "$dir"
  trap '"$here/swtpm-down.sh" "$dir"' EXIT
  make_chip
  start_daemon
  if [ "$kind" = 2.0 ]; then
    TPM2TOOLS_TCTI=$(cat "$dir/tcti")
    export TPM2TOOLS_TCTI
    add_p256_certificate
  fi
  # Written last: from here on the chip is complete.
  echo "$kind" >"$dir/kind"
  trap - EXIT
elif ! running; then
  start_daemon
fi
cat "$dir/tcti"
