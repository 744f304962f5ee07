# The front door for people and for build servers. `make` lists what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Flags for `heddled up`, for example: make run ARGS="--data-dir /tmp/d --ready-file /tmp/ready.json"
ARGS ?=
# Flags of `make bench`, for example: make bench BENCH="endpoint --proxies 10000 --services 1000"
BENCH ?=

.PHONY: help setup run test test-setup test-rust test-long bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: PostgreSQL server binaries and Envoy
	@scripts/setup

run: setup ## Build Heddle and start it with the demo; flags by ARGS="..."
	cargo build --release --locked -p heddled
	@exec target/release/heddled up --demo --stop-with-parent $(ARGS)

test: test-rust ## Everything that a change must pass

test-setup:
	@scripts/setup --test

test-rust: test-setup ## Formatting, lints, the repository's own checks and all short tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask check
	cargo test --workspace --locked

test-long: test-setup ## The tests that take minutes
	cargo test --workspace --locked -- --ignored

bench: setup ## Measure: proxies connecting, changes reaching them, a killed server; more by BENCH="--proxies 10000 ..."
	cargo build --release --locked -p heddled -p heddle-bench
	@target/release/heddle-bench scenario $(BENCH)

clean: ## Remove what was built; data and tools stay
	cargo clean
