#!/bin/bash
# install.sh DEBS FOLDER: installs, upgrades, removes and purges the packages of the folder DEBS in an overlay over this
# system that is mounted below FOLDER. Wants a mount namespace of its own (`unshare --mount`), so that nothing of it is
# left. Status 77: it cannot be done here.
set -euo pipefail
debs=$1 folder=$2
cannot() { echo "$*" >&2; exit 77; }
[ "$(id -u)" = 0 ] || cannot "only root may mount an overlay"
mount -t tmpfs tmpfs "$folder" 2>/dev/null || cannot "no tmpfs can be mounted"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root" 2>/dev/null \
  || cannot "no overlay can be mounted over /"
mkdir -p "$folder/root/debs"
cp "$debs"/*.deb "$folder/root/debs/"
mount --bind /dev "$folder/root/dev"
mount --bind /proc "$folder/root/proc"

chroot "$folder/root" /bin/bash -euo pipefail <<'ROOT'
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
check() { echo "+ $*"; "$@" || { echo "FAILED: $*" >&2; exit 1; }; }
not() { ! "$@"; }
is() { [ "$1" = "$2" ] || { echo "found \`$1\`, expected \`$2\`" >&2; return 1; }; }
# Whatever a system that builds the packages lacks of what they want at run time is not what is tested here.
dpkg --install --force-depends /debs/*.deb

for service in muster-collector muster-probe; do
  state=${service/muster-collector/muster}
  check getent passwd "$service"
  check is "$(getent passwd "$service" | cut -d : -f 7)" /usr/sbin/nologin
  check is "$(stat -c '%U:%G %a' "/var/lib/$state")" "$service:$service 700"
  check is "$(dpkg-query -W -f '${db:Status-Status}' "$service")" installed
  # Neither enabled nor started: there is nothing yet that it could report to or with.
  check not compgen -G "/etc/systemd/system/*.wants/$service.service"
  "$service" --version
done
check getent group tss
muster --version
check is "$(muster-collector check-config)" '`/etc/muster/collector.toml` is a valid configuration'
muster-probe config >/dev/null

# Units that load, once the programs are where they say.
systemd-analyze verify --man=no /usr/lib/systemd/system/muster-{collector,probe}.service 2>&1 | tee /verify.log
check not grep muster- /verify.log

# A reinstallation keeps what the administrator wrote, and sets the key's mode right.
echo '# mine' >>/etc/muster/collector.toml
install -m 0644 /dev/null /etc/muster/collector.key
echo evidence >/var/lib/muster/evidence
dpkg --install --force-depends /debs/muster-collector.deb
check grep -q '# mine' /etc/muster/collector.toml
check is "$(stat -c '%U:%G %a' /etc/muster/collector.key)" root:muster-collector\ 640

dpkg --remove muster-collector muster-probe muster
check test -e /var/lib/muster/evidence
check grep -q '# mine' /etc/muster/collector.toml
dpkg --purge muster-collector muster-probe
check not test -e /var/lib/muster
check not test -e /var/lib/muster-probe
check not test -e /etc/muster/collector.toml
# A key is somebody else's, and so is the folder as long as it is there.
check test -e /etc/muster/collector.key
check not compgen -G "/usr/share/man/man1/muster*"
ROOT
