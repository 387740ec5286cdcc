#!/usr/bin/env bash
# Makes the raw outputs of the demo's machines: what `dsregcmd /status`, `ver` and `tpmtool` print there, the
# certificates of the domain controllers, and values of msDS-KeyCredentialLink.
#
#   captures.sh DIR
#
# Every identifier is invented. The certificates are issued by a throwaway CA under DIR/pki, because their dates must
# be of today; the key values are test vectors whose private keys nobody has.
set -euo pipefail
DIR=$(mkdir -p "$1" && cd "$1" && pwd)
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FOREST=corp.example
DOMAIN_SID=S-1-5-21-3402785121-1195827043-2687511903
TENANT=7d0c2f8e-3a41-4c9e-8c50-6e1f2b3a4d5c

# --- an enterprise CA and the certificates of the domain controllers -------------------------------------------------
PKI=$DIR/pki
mkdir -p "$PKI"
openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/O=Example Industries/CN=Example Enterprise CA" \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
  -keyout "$PKI/ca.key" -out "$PKI/ca.pem" 2>/dev/null

# dc_certificate FILE FQDN EKUS: a certificate as the Kerberos Authentication template issues it, with those usages.
dc_certificate() {
  openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout "$PKI/$2.key" -out "$PKI/$2.csr" 2>/dev/null
  openssl x509 -req -in "$PKI/$2.csr" -CA "$PKI/ca.pem" -CAkey "$PKI/ca.key" -CAcreateserial -sha256 -days 365 \
    -extfile <(printf '%s\n' "keyUsage=critical,digitalSignature,keyEncipherment" "extendedKeyUsage=$3" \
      "subjectAltName=DNS:$2,DNS:$FOREST,DNS:CORP" "crlDistributionPoints=URI:http://pki.$FOREST/enterprise.crl" \
      "authorityKeyIdentifier=keyid") \
    -out "$1" 2>/dev/null
}
GOOD=clientAuth,serverAuth,1.3.6.1.4.1.311.20.2.2,1.3.6.1.5.2.3.5
WITHOUT_KDC=clientAuth,serverAuth,1.3.6.1.4.1.311.20.2.2

# --- raw outputs -------------------------------------------------------------------------------------------------------
title() { printf '+%s+\n| %-69s|\n+%s+\n\n' "$(printf -- '-%.0s' {1..70})" "$1" "$(printf -- '-%.0s' {1..70})"; }
field() { printf '%26s : %s\n' "$1" "$2"; }

# dsregcmd HOST ACCOUNT JOIN NGC [KEY-ID]: what the signed-in user sees. JOIN is hybrid, entra or domain; NGC is set,
# will or not.
dsregcmd() {
  local host=$1 account=$2 join=$3 ngc=$4 key=${5:-}
  local azure=YES domain=YES
  [ "$join" = entra ] && domain=NO
  [ "$join" = domain ] && azure=NO
  title "Device State"
  field AzureAdJoined $azure; field EnterpriseJoined NO; field DomainJoined $domain
  [ $domain = YES ] && field DomainName CORP
  field "Device Name" "$host"; echo
  if [ $azure = YES ]; then
    title "Device Details"
    field DeviceId "$(device_id "$host")"
    field Thumbprint "$(printf '%s' "$host" | sha1sum | cut -c1-40 | tr a-f A-F)"
    field DeviceCertificateValidity "[ 2026-01-14 07:20:11.000 UTC -- 2036-01-14 07:50:11.000 UTC ]"
    field KeyContainerId "$(uuid "container $host")"
    field KeyProvider "Microsoft Platform Crypto Provider"; field TpmProtected YES; field DeviceAuthStatus SUCCESS; echo
    title "Tenant Details"
    field TenantName "Example Industries"; field TenantId $TENANT; field Idp login.windows.net; field MdmUrl ""; echo
  fi
  title "User State"
  if [ "$ngc" = set ]; then
    field NgcSet YES; field NgcKeyId "{$key}"; field CanReset DestructiveAndNonDestructive
  else
    field NgcSet NO
  fi
  field WorkplaceJoined NO; field WamDefaultSet "$([ $azure = YES ] && echo YES || echo NO)"; echo
  title "SSO State"
  if [ $azure = YES ]; then
    field AzureAdPrt YES
    field AzureAdPrtUpdateTime "$(date -u -d '-2 hours' '+%Y-%m-%d %H:%M:%S.000 UTC')"
    field AzureAdPrtExpiryTime "$(date -u -d '+14 days' '+%Y-%m-%d %H:%M:%S.000 UTC')"
    field AzureAdPrtAuthority "https://login.microsoftonline.com/$TENANT"
  else
    field AzureAdPrt NO; field AzureAdPrtAuthority ""
  fi
  field EnterprisePrt NO; field OnPremTgt NO; field CloudTgt "$azure"; echo
  title "Diagnostic Data"
  field AadRecoveryEnabled NO; field "Executing Account Name" "CORP\\$account, $account@example.com"
  field KeySignTest "MUST Run elevated to test."; echo
  if [ "$ngc" != set ]; then
    title "Ngc Prerequisite Check"
    field IsDeviceJoined $azure; field IsUserAzureAD $azure; field PolicyEnabled YES; field PostLogonEnabled YES
    field DeviceEligible YES; field SessionIsNotRemote YES; field CertEnrollment none; field OnPremTGT NO
    field PreReqResult "$([ "$ngc" = will ] && echo WillProvision || echo WillNotProvision)"
  fi
  printf '\n\nFor more information, please visit https://www.microsoft.com/aadjerrors\n'
}

uuid() { printf '%s' "$1" | sha256sum | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/'; }
device_id() {
  case $1 in # two machines carry the device ids of the key values, whose bytes are fixed
    pc-0417.*) echo 0f3c2a51-77b4-4d0e-9a5c-1b2c3d4e5f60 ;;
    pc-0418.*) echo 5b8e1c74-2d96-4f03-8a1e-c07d3f52b96e ;;
    *) uuid "device $1" ;;
  esac
}

# endpoint SITE HOST RID ACCOUNT JOIN NGC [KEY-ID REGISTERED-AT]
endpoint() {
  local site=$1 host=$2 sid=$DOMAIN_SID-$3 account=$4 join=$5 ngc=$6 key=${7:-} at=${8:-}
  local folder="$DIR/${site,,}/${host%%.*}"
  mkdir -p "$folder"
  dsregcmd "$host" "$account" "$join" "$ngc" "$key" > "$folder/dsregcmd.txt"
  printf '\nMicrosoft Windows [Version 10.0.26100.6725]\n' > "$folder/ver.txt"
  printf '%s\n' "-TPM Present: True" "-TPM Version: 2.0" "-TPM Manufacturer ID: INTC" \
    "-TPM Manufacturer Full Name: Intel" "-TPM Manufacturer Version: 303.12.0.0" "-PPI Version: 1.3" \
    "-Is Initialized: True" "-Ready For Storage: True" "-Ready For Attestation: True" \
    "-Is Capable For Attestation: True" "-TPM Has Vulnerable Firmware: False" "-Maintenance Task Complete: True" \
    > "$folder/tpmtool.txt"
  {
    printf 'host = "%s"\nforest = "%s"\nsite = "%s"\nroles = ["endpoint"]\n' "$host" "$FOREST" "$site"
    printf '\n[operating_system]\nproduct_type = "workstation"\nedition = "Enterprise"\n'
    printf '\n[[user]]\nsid = "%s"\naccount = "CORP\\\\%s"\n' "$sid" "$account"
    if [ -n "$at" ]; then
      printf '\n[[key_registration]]\nuser = "%s"\nregistered_at = "%s"\nkey_id = "%s"\ndevice_id = "%s"\n' \
        "$sid" "$at" "$key" "$(device_id "$host")"
    fi
    printf '\n[[file]]\npath = "dsregcmd.txt"\nkind = "dsregcmd"\ncontext = "user-session"\nuser = "%s"\n' "$sid"
    printf '\n[[file]]\npath = "ver.txt"\nkind = "windows-version"\n'
    printf '\n[[file]]\npath = "tpmtool.txt"\nkind = "tpmtool"\n'
  } > "$folder/capture.toml"
}

# domain_controller FOLDER SITE HOST EKUS
domain_controller() {
  local site=$2 host=$3 folder="$DIR/$1/${3%%.*}"
  mkdir -p "$folder/certificates" "$folder/roots"
  dc_certificate "$folder/certificates/$host.pem" "$host" "$4"
  cp "$PKI/ca.pem" "$folder/roots/ca.pem"
  printf '\nMicrosoft Windows [Version 10.0.20348.3807]\n' > "$folder/ver.txt"
  cat > "$folder/capture.toml" <<TOML
host = "$host"
forest = "$FOREST"
site = "$site"
roles = ["domain-controller"]

[operating_system]
product_type = "domain-controller"
edition = "ServerStandard"

[domain_controller]
fqdn = "$host"
domain = "$FOREST"
netbios = "CORP"
read_only = false

[trust]
anchors = ["roots"]

[[file]]
path = "ver.txt"
kind = "windows-version"

[[file]]
path = "certificates"
kind = "certificates"
TOML
}

domain_controller rotterdam Rotterdam dc01.$FOREST $GOOD
domain_controller rotterdam Rotterdam dc02.$FOREST $GOOD
endpoint Rotterdam pc-0417.$FOREST 1104 ada.pilot hybrid set 5d1f8b02-6a3c-4e77-9c41-ab0e93f6d214 2026-03-02T08:14:05Z
endpoint Rotterdam pc-0418.$FOREST 1105 ben.pilot hybrid set c02e7d61-48f3-4b9a-8e15-90d7a3b6f458 2026-03-09T13:42:53Z
endpoint Rotterdam pc-0419.$FOREST 1106 cleo.pilot hybrid will
endpoint Rotterdam pc-0420.$FOREST 1107 dee.pilot hybrid will

domain_controller lyon Lyon dc11.$FOREST $WITHOUT_KDC
endpoint Lyon pc-0511.$FOREST 1204 eve.field hybrid will
endpoint Lyon lap-0512.$FOREST 1205 finn.field entra will
endpoint Lyon pc-0513.$FOREST 1206 gus.field domain not

domain_controller oslo-dc Oslo dc21.$FOREST $GOOD
endpoint Oslo pc-0611.$FOREST 1304 hal.north hybrid will
endpoint Oslo pc-0612.$FOREST 1305 ida.north hybrid will

# What a reader of the directory would tell: the keys of the users who are provisioned.
mkdir -p "$DIR/rotterdam/directory"
cp "$HERE/keys-ada.txt" "$HERE/keys-ben.txt" "$DIR/rotterdam/directory/"
cat > "$DIR/rotterdam/directory/capture.toml" <<TOML
host = "reader.$FOREST"
forest = "$FOREST"
site = "Rotterdam"
roles = ["directory"]

[directory]
forest = "$FOREST"
source = "key-credentials"
complete = true
canary_seen = true

[[file]]
path = "keys-ada.txt"
kind = "key-credentials"
user = "$DOMAIN_SID-1104"

[[file]]
path = "keys-ben.txt"
kind = "key-credentials"
user = "$DOMAIN_SID-1105"
TOML
