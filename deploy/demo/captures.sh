#!/usr/bin/env bash
# Makes the raw outputs of the demo's machines: what Windows' own tools print and export there (dsregcmd, ver, tpmtool, reg,
# nltest, wevtutil, sc, typeperf, repadmin), the certificates and revocation lists of the domain controllers, and values of
# msDS-KeyCredentialLink.
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

# The CA's list, as its distribution point gives it: a year of nobody revoked.
printf '[ca]\ndefault_ca = own\n[own]\ndatabase = %s/index.txt\ncrlnumber = %s/crlnumber\ndefault_md = sha256\n' "$PKI" "$PKI" \
  > "$PKI/ca.cnf"
: > "$PKI/index.txt"
echo 10 > "$PKI/crlnumber"
openssl ca -config "$PKI/ca.cnf" -gencrl -crldays 7 -cert "$PKI/ca.pem" -keyfile "$PKI/ca.key" 2>/dev/null \
  | openssl crl -outform der -out "$PKI/enterprise.crl"
thumbprint() { openssl x509 -in "$1" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g'; }
CA_THUMBPRINT=$(thumbprint "$PKI/ca.pem")

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
  # Run in an elevated shell of the signed-in user, which is what this test asks for.
  field KeySignTest PASSED; echo
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

# --- exports of the registry, events and the rest ----------------------------------------------------------------------
reg_head() { printf 'Windows Registry Editor Version 5.00\r\n'; }
reg_key() { printf '\r\n[%s]\r\n' "$1"; }
reg_dword() { printf '"%s"=dword:%08x\r\n' "$1" "$2"; }

# What `reg export` writes of the stores of trusted certificates: the one CA, as root and as issuer for sign-ins.
trust_stores() {
  reg_head
  local store
  for store in 'Microsoft\SystemCertificates\ROOT' 'Microsoft\SystemCertificates\AuthRoot' \
    'Microsoft\EnterpriseCertificates\Root' 'Policies\Microsoft\SystemCertificates\Root' \
    'Microsoft\EnterpriseCertificates\NTAuth'; do
    reg_key "HKEY_LOCAL_MACHINE\\SOFTWARE\\$store\\Certificates"
    case $store in
      *Enterprise*) reg_key "HKEY_LOCAL_MACHINE\\SOFTWARE\\$store\\Certificates\\$CA_THUMBPRINT" ;;
    esac
  done
}

# policies SID: Hello is switched on by group policy of the computer; neither the user's nor MDM sets anything.
policies() {
  reg_head
  reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft'
  reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\PassportForWork'
  reg_dword Enabled 1
  reg_dword UseCertificateForOnPremAuth 0
  reg_key "HKEY_USERS\\$1\\SOFTWARE\\Policies\\Microsoft"
  reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Policies'
  reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Authentication\LogonUI'
}

# event PROVIDER CHANNEL ID SYSTEM-TIME SID NAME=VALUE...
event() {
  local provider=$1 channel=$2 id=$3 at=$4 sid=$5 user=
  shift 5
  [ -n "$sid" ] && user=" UserID='$sid'"
  printf "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='%s'/>" "$provider"
  printf "<EventID>%s</EventID><TimeCreated SystemTime='%s'/><Channel>%s</Channel><Security%s/></System><EventData>" \
    "$id" "$at" "$channel" "$user"
  local pair
  for pair in "$@"; do printf "<Data Name='%s'>%s</Data>" "${pair%%=*}" "${pair#*=}"; done
  printf '</EventData></Event>\n'
}
UDR='Microsoft-Windows-User Device Registration'
KDC='Microsoft-Windows-Kerberos-Key-Distribution-Center'

# provisioning_events SID NGC AT: what the endpoint wrote when it looked whether to provision. NGC as for dsregcmd.
provisioning_events() {
  local id=358 joined=Yes
  [ "$2" = not ] && id=360 joined=No
  printf '<Events>\n'
  event "$UDR" "$UDR/Admin" $id "$3" "$1" DeviceIsJoined=$joined AADPrt=$joined NgcPolicyEnabled=Yes \
    NgcPostLogonProvisioningEnabled=Yes NgcHardwarePolicyMet=Yes UserIsRemote=Yes 'LogonCertRequired=No' \
    'MachinePolicySource=Group Policy'
  printf '</Events>\n'
}

# locator SITE: any controller, and one of 2016 or later.
locator() {
  local question
  for question in "" " /ds_10"; do
    printf 'C:\\>nltest /dsgetdc:%s /kdc%s /force\r\n' "$FOREST" "$question"
    printf '           DC: \\\\dc01.%s\r\n      Address: \\\\192.0.2.10\r\n' "$FOREST"
    printf '     Dom Guid: %s\r\n     Dom Name: %s\r\n  Forest Name: %s\r\n' "$(uuid domain)" "$FOREST" "$FOREST"
    printf ' Dc Site Name: %s\r\nOur Site Name: %s\r\n' "$1" "$1"
    printf '        Flags: GC DS LDAP KDC TIMESERV WRITABLE DNS_DC DNS_DOMAIN DNS_FOREST CLOSE_SITE FULL_SECRET WS DS_8 DS_9 DS_10 KEYLIST\r\n'
    printf 'The command completed successfully\r\n\r\n'
  done
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
  printf '%s\r\n' "" "TpmPresent                : True" "TpmReady                  : True" \
    "ManufacturerIdTxt         : INTC" "ManufacturerVersion       : 303.12.0.0" "LockedOut                 : False" \
    "LockoutHealTime           : 10 minutes" "LockoutCount              : 0" "LockoutMax                : 32" \
    "" "SpecVersion    : 2.0, 0, 1.59" \
    "" "Information    : 0" "IsReady        : True" "ReturnValue    : 0" > "$folder/tpm.txt"
  trust_stores > "$folder/stores.reg"
  policies "$sid" > "$folder/policies.reg"
  provisioning_events "$sid" "$ngc" "$(date -u -d '-2 hours' '+%Y-%m-%dT%H:%M:%S.0000000Z')" > "$folder/events.xml"
  locator "$site" > "$folder/locator.txt"
  printf 'UEFI\r\n' > "$folder/firmware.txt"
  {
    printf 'host = "%s"\nforest = "%s"\nsite = "%s"\nroles = ["endpoint"]\n' "$host" "$FOREST" "$site"
    printf '\n[operating_system]\nproduct_type = "workstation"\nedition = "Enterprise"\n'
    printf '\n[[user]]\nsid = "%s"\naccount = "CORP\\\\%s"\n' "$sid" "$account"
    printf '\n[[session]]\nuser = "%s"\nremote = false\n' "$sid"
    if [ -n "$at" ]; then
      printf '\n[[key_registration]]\nuser = "%s"\nregistered_at = "%s"\nkey_id = "%s"\ndevice_id = "%s"\n' \
        "$sid" "$at" "$key" "$(device_id "$host")"
    fi
    printf '\n[[file]]\npath = "dsregcmd.txt"\nkind = "dsregcmd"\ncontext = "user-session"\nuser = "%s"\n' "$sid"
    printf '\n[[file]]\npath = "ver.txt"\nkind = "windows-version"\n'
    local file
    for file in tpmtool.txt=tpmtool tpm.txt=tpm-properties stores.reg=registry policies.reg=registry \
      events.xml=events locator.txt=dc-locator firmware.txt=firmware-type; do
      printf '\n[[file]]\npath = "%s"\nkind = "%s"\n' "${file%=*}" "${file#*=}"
    done
  } > "$folder/capture.toml"
}

# domain_controller FOLDER SITE HOST EKUS
domain_controller() {
  local site=$2 host=$3 folder="$DIR/$1/${3%%.*}"
  mkdir -p "$folder/certificates" "$folder/roots"
  dc_certificate "$folder/certificates/$host.pem" "$host" "$4"
  cp "$PKI/ca.pem" "$folder/roots/ca.pem"
  printf '\nMicrosoft Windows [Version 10.0.20348.3807]\n' > "$folder/ver.txt"
  cp "$PKI/enterprise.crl" "$folder/enterprise.crl"
  trust_stores > "$folder/stores.reg"
  {
    reg_head
    reg_key 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Kdc'
    reg_dword Start 2
    reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System'
    reg_key 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System\SAM'
    reg_dword SamNGCKeyROCAValidation 2
  } > "$folder/kdc.reg"
  printf '%s\r\n' "" "SERVICE_NAME: kdc" "        TYPE               : 20  WIN32_SHARE_PROCESS" \
    "        STATE              : 4  RUNNING" "                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)" \
    "        WIN32_EXIT_CODE    : 0  (0x0)" > "$folder/service.txt"
  # The certificate that the KDC took at its start, and that nothing went wrong since.
  local started
  started=$(date -u -d '-3 hours' '+%Y-%m-%dT%H:%M:%S.0000000Z')
  {
    printf '<Events>\n'
    event "$KDC" "$KDC/Operational" 302 "$started" "" "CertificateThumbprint=$(thumbprint "$folder/certificates/$host.pem")"
    event "$KDC" System 35 "$started" "" Reason=start
    printf '</Events>\n'
  } > "$folder/events.xml"
  {
    printf '"(PDH-CSV 4.0)","\\\\%s\\Security System-Wide Statistics\\KDC AS Requests"\r\n' "${host%%.*}"
    local minute
    for minute in $(seq 60 -1 1); do
      printf '"%s","%d.500000"\r\n' "$(date -u -d "-$minute minutes" '+%m/%d/%Y %H:%M:%S.000')" $((minute % 7))
    done
  } > "$folder/load.csv"
  {
    printf 'showrepl_COLUMNS,Destination DSA Site,Destination DSA,Naming Context,Source DSA Site,Source DSA,Transport Type,'
    printf 'Number of Failures,Last Failure Time,Last Success Time,Last Failure Status\r\n'
    printf 'showrepl_INFO,%s,%s,"DC=corp,DC=example",%s,DC00,RPC,0,0,%s,0\r\n' "$site" "${host%%.*}" "$site" \
      "$(date -u -d '-20 minutes' '+%Y-%m-%d %H:%M:%S')"
  } > "$folder/replication.csv"
  cat > "$folder/capture.toml" <<TOML
host = "$host"
forest = "$FOREST"
site = "$site"
roles = ["domain-controller"]
utc_offset = "+00:00"

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

[[file]]
path = "enterprise.crl"
kind = "revocation-list"
url = "http://pki.$FOREST/enterprise.crl"
TOML
  local file
  for file in stores.reg=registry kdc.reg=registry service.txt=kdc-service events.xml=events load.csv=kdc-load \
    replication.csv=replication; do
    printf '\n[[file]]\npath = "%s"\nkind = "%s"\n' "${file%=*}" "${file#*=}"
  done >> "$folder/capture.toml"
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
