#!/bin/bash
# Installs what building, testing and showing Muster need on Debian 12 with Rust. Idempotent: it looks first, and
# with nothing missing it ends in well under a second without touching the network.
#
#   deploy/setup.sh [--profile build|demo|test|all] [--check]
#
#   build   a C toolchain and the TPM libraries, enough for `cargo build`
#   demo    build, a software TPM and the small tools of the demo
#   test    demo, what the tests and lints need, cargo-deny, cargo-deb and buf (the default)
#   all     the same as test today: every package any command of this repository wants
#   --check only lists what is missing; exit status 1 if anything is
#
# Run it as yourself: only apt-get is called through sudo. Debian packages are the one thing that goes into the
# system. Cargo tools and Python packages go to .tools/ and npm packages to node_modules/, both in this checkout, both
# ignored by git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# cargo-deny is a compiled tool, three minutes on two cores at the settings below, so its version is pinned: a new
# one is a change somebody makes on purpose. cargo-deb is small, half a minute more.
CARGO_DENY_VERSION=0.20.2
CARGO_DEB_VERSION=3.8.0

DEBIAN_BUILD=(build-essential pkg-config libtss2-dev ca-certificates git)
DEBIAN_DEMO=(libtss2-tcti-swtpm0 swtpm swtpm-tools tpm2-tools openssl xxd jq)
DEBIAN_TEST=(chromium fuse3 iproute2 man-db prometheus python3 python3-yaml)

profile="test"
check_only=false

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=${2:?--profile wants build, demo, test or all}; shift 2 ;;
    --profile=*) profile=${1#*=}; shift ;;
    --check) check_only=true; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
  esac
done

case $profile in
  build) debian=("${DEBIAN_BUILD[@]}"); tools=false ;;
  demo) debian=("${DEBIAN_BUILD[@]}" "${DEBIAN_DEMO[@]}"); tools=false ;;
  test | all) debian=("${DEBIAN_BUILD[@]}" "${DEBIAN_DEMO[@]}" "${DEBIAN_TEST[@]}"); tools=true ;;
  *) fail "unknown profile \`$profile\` (known: build, demo, test, all)" ;;
esac

# --- what is missing -------------------------------------------------------------------------------------------------

# Prints the packages of its arguments that are not installed.
missing_debian() {
  local installed
  installed=$(dpkg-query -W -f='${binary:Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  local package
  for package in "$@"; do
    # A multi-arch library is listed as name:arch.
    grep -qE "^$package(:[a-z0-9]+)? installed\$" <<<"$installed" || echo "$package"
  done
}

# A version of Rust that the workspace accepts, with the two components the lints need.
rust_problem() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  command -v cargo >/dev/null || { echo "cargo is not on the PATH (Rust $wanted or newer is needed)"; return; }
  found=$(rustc --version | sed 's/^rustc \([0-9.]*\).*/\1/')
  if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "rustc is $found, the workspace needs $wanted or newer"
  fi
}

missing_components() {
  command -v rustfmt >/dev/null && rustfmt --version >/dev/null 2>&1 || echo rustfmt
  command -v cargo-clippy >/dev/null && cargo-clippy --version >/dev/null 2>&1 || echo clippy
}

# have_cargo_tool NAME VERSION: ours in .tools, or one of the same minor version that the machine has anyway.
have_cargo_tool() {
  grep -qs "\"$1 $2 " .tools/.crates.toml && [ -x ".tools/bin/$1" ] && return
  # One prints its name before its version, the other does not.
  command -v "$1" >/dev/null && [[ $("$1" --version) =~ ^("$1 ")?"${2%.*}." ]]
}
have_cargo_deny() { have_cargo_tool cargo-deny "$CARGO_DENY_VERSION"; }
have_cargo_deb() { have_cargo_tool cargo-deb "$CARGO_DEB_VERSION"; }

# The lock file that was installed is kept beside the packages, so that a changed one is seen.
have_npm_packages() { [ -x node_modules/.bin/buf ] && cmp -s package-lock.json node_modules/.installed-lock.json; }

# The list that was installed is kept beside the packages, as with npm.
have_python_packages() {
  [ -x .tools/python/bin/python ] && cmp -s tests/otlp/requirements.txt .tools/python/.installed-requirements.txt
}

mapfile -t lacking_debian < <(missing_debian "${debian[@]}")
mapfile -t lacking_components < <(missing_components)
rust=$(rust_problem)
lacking_deny=false
lacking_deb=false
lacking_npm=false
lacking_python=false
if $tools; then
  have_python_packages || lacking_python=true
  if $lacking_python && ! python3 -c 'import venv, ensurepip' 2>/dev/null; then lacking_debian+=(python3 python3-venv); fi
  have_cargo_deny || lacking_deny=true
  have_cargo_deb || lacking_deb=true
  have_npm_packages || lacking_npm=true
  if $lacking_npm; then
    # Any Node will do, Debian's or another; Debian's is installed only where there is none.
    command -v node >/dev/null || lacking_debian+=(nodejs)
    command -v npm >/dev/null || lacking_debian+=(npm)
  fi
fi

if $check_only; then
  missing=0
  for package in "${lacking_debian[@]}"; do echo "missing Debian package: $package"; missing=1; done
  for component in "${lacking_components[@]}"; do echo "missing Rust component: $component"; missing=1; done
  if [ -n "$rust" ]; then echo "missing Rust: $rust"; missing=1; fi
  if $lacking_deny; then echo "missing Cargo tool: cargo-deny $CARGO_DENY_VERSION"; missing=1; fi
  if $lacking_deb; then echo "missing Cargo tool: cargo-deb $CARGO_DEB_VERSION"; missing=1; fi
  if $lacking_npm; then echo "missing npm packages: those of package-lock.json"; missing=1; fi
  if $lacking_python; then echo "missing Python packages: those of tests/otlp/requirements.txt"; missing=1; fi
  [ $missing = 1 ] || say "nothing is missing for profile $profile"
  exit $missing
fi

# --- installing it ---------------------------------------------------------------------------------------------------

[ -z "$rust" ] || fail "$rust; see https://rustup.rs"

mkdir -p .tools
# Two `make` runs side by side must not install into the same place at once.
exec 9>.tools/lock
flock 9

if [ ${#lacking_debian[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || fail "no apt-get here; install by hand: ${lacking_debian[*]}"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "neither root nor sudo here; as root: apt-get install ${lacking_debian[*]}"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${lacking_debian[*]}"
  # An automatic upgrade of the machine may hold dpkg's lock for a while.
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
  # Prometheus is wanted as a program, on ports of the tests' own: masked before it comes, its service does not start.
  # `systemctl unmask prometheus` undoes this.
  if [[ " ${lacking_debian[*]} " == *" prometheus "* && ! -e /etc/systemd/system/prometheus.service ]]; then
    "${as_root[@]}" mkdir -p /etc/systemd/system
    "${as_root[@]}" ln -s /dev/null /etc/systemd/system/prometheus.service
  fi
  "${apt[@]}" update
  "${apt[@]}" install --yes --no-install-recommends "${lacking_debian[@]}"
fi

if [ ${#lacking_components[@]} -gt 0 ]; then
  command -v rustup >/dev/null || fail "Rust lacks ${lacking_components[*]} and there is no rustup to add them"
  say "adding Rust components: ${lacking_components[*]}"
  rustup component add "${lacking_components[@]}"
fi

# install_cargo_tool NAME VERSION FLAGS...: barely optimised and without link-time optimisation, since these run for
# seconds and should not compile for ten minutes. A build folder of its own keeps what is done should the compile be
# interrupted.
install_cargo_tool() {
  local name=$1 version=$2
  shift 2
  CARGO_TARGET_DIR=$PWD/.tools/build CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
    cargo install --quiet --locked --root .tools --version "=$version" "$@" "$name" 9>&-
}
if $lacking_deny && ! have_cargo_deny; then
  say "compiling cargo-deny $CARGO_DENY_VERSION (some minutes, once)"
  install_cargo_tool cargo-deny "$CARGO_DENY_VERSION"
fi
if $lacking_deb && ! have_cargo_deb; then
  say "compiling cargo-deb $CARGO_DEB_VERSION (a minute, once)"
  # Without its own xz: the one of Debian, which dpkg needs anyway, does.
  install_cargo_tool cargo-deb "$CARGO_DEB_VERSION" --no-default-features
fi
rm -rf .tools/build

if $lacking_npm && ! have_npm_packages; then
  say "installing npm packages"
  # No package of ours needs to run a script to be installed, so none gets to.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error 9>&-
  cp package-lock.json node_modules/.installed-lock.json
fi

if $lacking_python && ! have_python_packages; then
  say "installing Python packages"
  rm -rf .tools/python
  python3 -m venv .tools/python 9>&-
  .tools/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps \
    --requirement tests/otlp/requirements.txt 9>&-
  cp tests/otlp/requirements.txt .tools/python/.installed-requirements.txt
fi

if [ ${#lacking_debian[@]} -gt 0 ] || [ ${#lacking_components[@]} -gt 0 ] || $lacking_deny || $lacking_deb || $lacking_npm || $lacking_python; then
  say "done"
fi
