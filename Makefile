# The commands of this repository. CI runs these and no others (`.ci/run` is `make test`), so whatever fails there can
# be repeated here under the same name. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# Cargo already uses every core; two steps at a time would only wait for each other's build lock and mix their output.
.NOTPARALLEL:
.DEFAULT_GOAL := help

# A build from the committed lock file or none; `make CARGO_FLAGS= ...` while a dependency is being added.
CARGO_FLAGS ?= --locked
# Ends the tests after this long, with the totals so far: `TEST_LIMIT=40m`. None by default, since it takes Ctrl-C away.
TEST_LIMIT ?=
WINDOWS_TARGETS := x86_64-pc-windows-msvc x86_64-pc-windows-gnu
# What the rules and the vocabulary must never depend on: runtimes, stores, the wire, TLS.
READINESS_BANNED := async-std h2 http hyper hyper-util muster-collector muster-probe muster-proto prost ring rustls \
	sled smol tokio tokio-stream tokio-util tonic tower tracing
BASELINE := proto/schema/baseline.binpb

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
SKIPPED := $(TARGET_DIR)/skipped-steps
CARGO_DENY = $(or $(wildcard .tools/bin/cargo-deny),cargo-deny)
CARGO_DEB = $(or $(wildcard .tools/bin/cargo-deb),cargo-deb)
# Who answers for the packages you build; the one in the manifests is a placeholder.
DEB_MAINTAINER ?=
# `target` again for whoever has several build folders: cargo-deb would put the packages elsewhere otherwise.
DEB_OUT ?= $(TARGET_DIR)/debian
BUF := node_modules/.bin/buf

# Fails with what to do where a tool of `make setup` is missing.
need = @command -v $(1) >/dev/null || { echo "\`$(notdir $(1))\` is not installed: run \`make setup\`"; exit 1; }

# Says what runs now and since when, so that a slow step shows in a log.
step = @printf '\n== %s (%s)\n' '$(1)' "$$(date -u +%H:%M:%S)"

.PHONY: help
help: ## Lists these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Everything

.PHONY: test
test: setup skips-reset fmt-check readiness-deps deny buf units clippy docs windows-check test-all ## Sets up what is missing, then every check and every test. What CI runs.

.PHONY: check
check: skips-reset fmt clippy deny units docs readiness-deps windows-check test-all ## Before a commit: formats, then lints, documentation and every test, nothing installed.

.PHONY: demo
demo: ## Shows the whole thing on this machine until Ctrl-C.
	@deploy/setup.sh --profile demo
	@deploy/demo.sh

.PHONY: setup
setup: ## Installs what is missing on Debian 12 with Rust; quick when nothing is.
	@deploy/setup.sh --profile test

##@ Steps

.PHONY: fmt
fmt: ## Formats the Rust code.
	cargo fmt --all

.PHONY: fmt-check
fmt-check: ## Fails on unformatted Rust code.
	$(call step,fmt-check)
	cargo fmt --all -- --check

.PHONY: clippy
clippy: ## Lints every target, warnings denied.
	$(call step,clippy)
	@missing=$$(comm -23 <(grep -o 'path = "[^"]*"' clippy.toml | sort) <(grep -o 'path = "[^"]*"' collector/readiness/clippy.toml | sort)); \
	[ -z "$$missing" ] || { echo "collector/readiness/clippy.toml must repeat the bans of clippy.toml:"; echo "$$missing"; exit 1; }
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: deny
deny: ## Checks the bans, licences and sources of the dependencies.
	$(call step,deny)
	$(call need,$(CARGO_DENY))
	$(CARGO_DENY) $(CARGO_FLAGS) check --hide-inclusion-graph bans licenses sources

.PHONY: advisories
advisories: ## Checks the dependencies against the RustSec advisories (fetches the database).
	$(call step,advisories)
	$(call need,$(CARGO_DENY))
	$(CARGO_DENY) $(CARGO_FLAGS) check --hide-inclusion-graph advisories

# Not part of `test`: an advisory published tonight must not fail a change made this morning. CI runs it by the clock.

.PHONY: docs
docs: ## Builds the documentation of our own crates, warnings denied.
	$(call step,docs)
	RUSTDOCFLAGS="$${RUSTDOCFLAGS:-} -D warnings" cargo doc $(CARGO_FLAGS) --workspace --no-deps

.PHONY: readiness-deps
readiness-deps: ## Fails if the rules or the vocabulary depend on a runtime, a store or the wire.
	$(call step,readiness-deps)
	@for crate in muster-readiness muster-evidence; do \
	  tree=$$(cargo tree $(CARGO_FLAGS) -p $$crate -e normal --target all --prefix none --format '{p}' | cut -d ' ' -f 1 | sort -u); \
	  grep -qx $$crate <<<"$$tree" || { echo "cargo tree says nothing of $$crate"; exit 1; }; \
	  found=$$(grep -xF "$$(printf '%s\n' $(READINESS_BANNED))" <<<"$$tree" || true); \
	  [ -z "$$found" ] || { echo "$$crate must not depend on:" $$found; exit 1; }; \
	  echo "$$crate depends on:" $$(grep -vx $$crate <<<"$$tree"); \
	done

.PHONY: windows-check
windows-check: ## Type-checks the pure crates for Windows, where a Windows standard library is installed.
	$(call step,windows-check)
	@for target in $(WINDOWS_TARGETS); do \
	  if [ -d "$$(rustc --print target-libdir --target $$target)" ]; then \
	    echo cargo check --target $$target; \
	    exec cargo check $(CARGO_FLAGS) -p muster-evidence -p muster-readiness --target $$target; \
	  fi; \
	done; \
	mkdir -p $(TARGET_DIR); \
	echo "SKIPPED: windows-check: no standard library for $(WINDOWS_TARGETS) (rustup target add)" | tee -a $(SKIPPED)

.PHONY: buf
buf: ## Lints the schema and compares it with the baseline for breaking changes.
	$(call step,buf)
	$(call need,$(BUF))
	$(BUF) lint
	$(BUF) breaking --against $(BASELINE)

##@ Tests

# The programs are built beside the tests, in one go and with the same features: some scenarios run the real binaries,
# and `cargo test` alone builds those of a scenario's own package only.
.PHONY: test-all
test-all: ## Every test of the workspace; ends with the counts, skipped tests among them.
	$(call step,tests)
	cargo build $(CARGO_FLAGS) --workspace --all-targets
	@tests/tally.sh $(SKIPPED) $(if $(TEST_LIMIT),timeout $(TEST_LIMIT)) cargo test $(CARGO_FLAGS) --workspace --no-fail-fast

.PHONY: test-fast
test-fast: ## The unit tests, without the scenarios across programs.
	cargo test $(CARGO_FLAGS) --workspace --exclude muster-tests --lib --bins

##@ Figures

# The programs first, in the same profile and with the same features: the benchmark runs the real ones beside it.
BENCHED := -p muster-probe -p muster-collector -p muster-tests
.PHONY: bench
bench: ## Measures everything in docs/performance.md and writes it anew; fails on a missed aim.
	$(call step,bench)
	cargo build $(CARGO_FLAGS) --release $(BENCHED)
	cargo bench $(CARGO_FLAGS) $(BENCHED) --bench performance -- --write $(CURDIR)/docs/performance.md

.PHONY: bench-million
bench-million: ## The rows of a million hosts; takes the better part of an hour, some GB of memory and 20 GB of disk.
	$(call step,bench-million)
	cargo build $(CARGO_FLAGS) --release $(BENCHED)
	cargo bench $(CARGO_FLAGS) $(BENCHED) --bench performance -- --hosts 1000000 reports

.PHONY: skips-reset
skips-reset:
	@rm -f $(SKIPPED)

##@ Packages

.PHONY: deb
deb: manuals ## Builds the Debian packages of the three programs, optimised, into target/debian.
	$(call step,deb)
	$(call need,$(CARGO_DEB))
	cargo build $(CARGO_FLAGS) --release -p muster-probe -p muster-collector -p muster-cli
	@mkdir -p $(TARGET_DIR)/release && rm -rf $(TARGET_DIR)/release/manuals && cp -r $(TARGET_DIR)/manuals $(TARGET_DIR)/release/
	@gzip -9n $(TARGET_DIR)/release/manuals/man/*/*.1
	@for package in muster-probe muster-collector muster-cli; do \
	  $(CARGO_DEB) $(CARGO_FLAGS) --quiet --no-build -p $$package -o $(DEB_OUT)/ \
	    $(if $(DEB_MAINTAINER),--maintainer '$(DEB_MAINTAINER)'); \
	done

.PHONY: manuals
manuals: ## Writes the manual pages and shell completions of the three programs to target/manuals.
	$(call step,manuals)
	@rm -rf $(TARGET_DIR)/manuals
	cargo run $(CARGO_FLAGS) --quiet -p muster-tests --bin muster-manuals -- $(TARGET_DIR)/manuals

# The upper bounds of `systemd-analyze security`; what each unit scores is in docs/install.md.
.PHONY: units
units: ## Fails if a unit is more exposed than it says, where systemd-analyze is installed.
	$(call step,units)
	@if ! command -v systemd-analyze >/dev/null; then \
	  mkdir -p $(TARGET_DIR); \
	  echo "SKIPPED: units: no systemd-analyze here" | tee -a $(SKIPPED); \
	  exit 0; \
	fi; \
	for unit in collector:12 probe:16; do \
	  systemd-analyze security --no-pager --offline=true --threshold="$${unit#*:}" deploy/systemd/muster-"$${unit%:*}".service \
	    | tail -n 1; \
	done

##@ Generated files

.PHONY: proto
proto: ## Remakes the code generated from the schema.
	MUSTER_REGENERATE=1 cargo test $(CARGO_FLAGS) -p muster-proto --test bootstrap

.PHONY: docs-generated
docs-generated: ## Remakes docs/checks and the references of settings and command lines; tests compare them.
	cargo run $(CARGO_FLAGS) -p muster-probe -- checks --markdown docs/checks
	MUSTER_REGENERATE=1 cargo test $(CARGO_FLAGS) -p muster-probe -p muster-collector --lib -- config limits the_reference_in_docs
	MUSTER_REGENERATE=1 cargo test $(CARGO_FLAGS) -p muster-tests --test deploy -- manuals::the_reference

.PHONY: dashboards
dashboards: ## Remakes the Grafana dashboards from deploy/grafana/make.py; a test compares them.
	python3 deploy/grafana/make.py

.PHONY: baseline
baseline: ## On a release: makes today's schema the one later changes are compared with.
	$(call need,$(BUF))
	$(BUF) build --exclude-source-info -o $(BASELINE)
