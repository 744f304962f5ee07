# The front door for people and for build servers. `make` lists what there is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Flags for `heddled up`, for example: make run ARGS="--data-dir /tmp/d --ready-file /tmp/ready.json"
ARGS ?=
# The server that long tests run against: what users get, and several times lighter than a debug build.
RELEASE := $(CURDIR)/target/release/heddled
# Scenarios and flags of `make bench`, for example: make bench BENCH="endpoint --proxies 10000 --services 1000"
BENCH ?=
# Faults and flags of `make chaos`, for example: make chaos CHAOS="--faults F-05,F-15 --seed 7 --scale small"
CHAOS ?=
# Flags of `make soak`, for example: make soak SOAK="--minutes 120"
SOAK ?=

.PHONY: help setup run console test test-setup test-lint test-rust test-web test-terraform test-long test-envoys test-scale terraform docs-terraform screenshots bench chaos soak clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: PostgreSQL server binaries, Envoy and the console's packages
	@scripts/setup

# The console is built when something that it is made of has changed; `heddled` takes it in when it is compiled.
CONSOLE := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/src/api/schema.d.ts -prune -o -type f -print)

web/dist/index.html: $(CONSOLE) api/openapi.json | setup
	cd web && npm run --silent build

console: web/dist/index.html ## Build the console

run: setup web/dist/index.html ## Build Heddle and start it with the demo; flags by ARGS="..."
	cargo build --release --locked -p heddled
	@exec target/release/heddled up --demo --stop-with-parent $(ARGS)

# Lints need nothing that is downloaded, so they run meanwhile.
test: ## Everything that a change must pass
	@$(MAKE) --no-print-directory -j2 test-lint test-setup
	@$(MAKE) --no-print-directory test-rust test-web test-terraform

test-setup:
	@scripts/setup --test

test-lint: ## Formatting, lints and the repository's own checks
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask check

# Most tests wait for Envoys and servers much longer than they compute, so there are more of them at once than cores.
test-rust: test-setup web/dist/index.html ## All short tests of what is written in Rust
	RUST_TEST_THREADS=$$(( $$(nproc) * 2 )) cargo test --workspace --locked

# The same build as for `test-rust`, so that nothing is compiled twice.
test-web: test-setup web/dist/index.html ## The console: formatting, lints, types, unit tests, and a real browser against the demo
	cargo test --workspace --locked --no-run
	cd web && npm run --silent check && npm test --silent && npm run --silent e2e

screenshots: test-setup web/dist/index.html ## Every screen of the console, in both themes and two widths, to target/screenshots
	cargo test --workspace --locked --no-run
	cd web && npm run --silent screenshots

terraform: ## Build the Terraform provider into target/terraform/
	cd terraform-provider && go generate ./internal/client && go build -o ../target/terraform/terraform-provider-heddle .

test-terraform: test-setup terraform ## The Terraform provider: formatting, lints, unit tests, and acceptance tests with OpenTofu and the real server
	cargo test --workspace --locked --no-run
	@cd terraform-provider && unformatted=$$(gofmt -l .) && if [[ -n $$unformatted ]]; then echo "gofmt: $$unformatted" >&2; exit 1; fi
	cd terraform-provider && go vet ./...
	cd terraform-provider && go test ./...
	cd terraform-provider && TF_ACC=1 go test -count=1 ./internal/acceptance

docs-terraform: terraform ## Write the pages of the Terraform provider into terraform-provider/docs/
	cd terraform-provider && go run ./internal/pages

# What only computes runs beside what mostly waits. The tests are the build that `test-rust` makes, the server is the release.
test-long: test-setup terraform web/dist/index.html ## The tests that take minutes
	cargo test --workspace --locked --no-run
	cargo build --release --locked -p heddled -p heddle-bench
	nice cargo test --workspace --locked --lib --test session_model --test guided -- --ignored --skip cost_of_writing & computing=$$!; \
	HEDDLE_TEST_HEDDLED=$(RELEASE) cargo test --workspace --locked --test it -- --ignored || failed=1; \
	wait $$computing || failed=1; exit $${failed:-0}
	cargo test --workspace --locked --test db -- --ignored
	cd terraform-provider && TF_ACC=1 HEDDLE_TEST_HEDDLED=$(RELEASE) HEDDLE_TEST_ROUNDS=20 go test -count=1 -timeout 60m -run Random ./internal/acceptance
	$(MAKE) test-scale

# What real Envoys are asked in `test-rust`, with a version from between in the oldest one's place.
ENVOYS_BETWEEN := 1.37 1.38 1.39
ENVOY_CASES := oldest_envoy dialects identity outage overlay returns settings

test-envoys: ## The tests with real Envoys, on each version between the oldest and the newest
	@scripts/setup --envoys
	cargo test --workspace --locked --no-run
	failed=; for version in $(ENVOYS_BETWEEN); do echo "Envoy $$version"; export HEDDLE_TEST_ENVOY=$$version; \
	  cargo test --locked -p heddle-translate --test it || failed=1; \
	  cargo test --locked -p heddle-tests --test it -- $(ENVOY_CASES) || failed=1; \
	done; [[ -z $$failed ]]

test-scale: test-setup web/dist/index.html ## How fast the console's pages come with 300 services, 2,000 live proxies and 500 revisions
	cargo build --release --locked -p heddled -p heddle-bench
	cd web && HEDDLED=$(RELEASE) SCALE=1 npm run --silent e2e -- scale

bench: setup ## Measure: proxies connecting, changes reaching them, churn, a killed server, REST; the long ones by name: BENCH="tenants --runs 5 ..." (docs/xds-engine.md)
	cargo build --release --locked -p heddled -p heddle-bench
	@target/release/heddle-bench scenario $(BENCH)

chaos: ## Do faults F-01 to F-20 to a whole Heddle under load, up to 45 minutes, as root for all of them; what follows is printed and in target/evidence/chaos.json (docs/chaos.md)
	@scripts/setup --chaos
	cargo build --release --locked -p heddled -p heddle-chaos
	@target/release/heddle-chaos $(CHAOS)

soak: setup ## Churn for SOAK (default: --minutes 20), and fail when memory, descriptors or tasks of the server grow
	cargo build --release --locked -p heddled -p heddle-bench
	@target/release/heddle-bench soak $(SOAK)

clean: ## Remove what was built; data and tools stay
	cargo clean
