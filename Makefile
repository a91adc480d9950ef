# The two commands of the README are `make demo` and `make test`. They need Rust and a C compiler, and get cmake
# (for zlib-ng, which Pingora's core builds) when it is missing.

CARGO ?= cargo
TOOLS := $(CURDIR)/.tools
TARGET := $(if $(CARGO_TARGET_DIR),$(abspath $(CARGO_TARGET_DIR)),$(CURDIR)/target)
export PATH := $(TOOLS)/cmake/bin:$(PATH)

.PHONY: demo test lint release bench callgrind fuzz clean-tools cmake

demo: cmake
	$(CARGO) run --profile demo -p waypoint -- demo $(DEMO_ARGS)

# One build for the binary and all tests, so that dependencies are built once.
test: cmake
	$(CARGO) build --workspace --bins --tests
	WAYPOINT_BIN=$(TARGET)/debug/waypoint $(CARGO) test --workspace

lint: cmake
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# What deploy/Dockerfile ships: trained by the load harness, then built. A quarter of an hour; target/pgo/release/waypoint
release: cmake
	benches/pgo

# All scenarios, the waypoint beside Envoy: ten minutes, and the machine should have nothing else to do.
bench: release
	$(TARGET)/release/waypoint-bench compare --scenario all --rounds 5 --seconds 2 --warm-up 1 --waypoint $(TARGET)/pgo/release/waypoint \
	  --markdown benches/RESULTS.md --json benches/results.json --html $(TARGET)/bench.html $(BENCH_ARGS)
	$(TARGET)/release/waypoint-bench report benches/results.json --chart docs/benchmark.svg

# Instructions of a look-up, a decision, a token, a span, a whole request; needs valgrind. CI has the same for its own build,
# with a baseline: benches/callgrind target/debug benches/instructions.txt
callgrind: cmake
	$(CARGO) build --profile demo --bins -p micro-benches -p benches -p waypoint
	benches/callgrind $(TARGET)/demo

# Each fuzz target for FUZZ_SECONDS; needs `cargo install cargo-fuzz` and a nightly compiler.
FUZZ_SECONDS ?= 60
fuzz: cmake
	@command -v cargo-fuzz >/dev/null 2>&1 || { echo "skipped: cargo-fuzz is missing (cargo install cargo-fuzz)"; exit 0; } ; \
	for target in $$(cd fuzz && ls corpus); do \
	  mkdir -p fuzz/target/found/$$target && \
	  $(CARGO) +nightly fuzz run $$target fuzz/target/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

cmake:
	@command -v cmake >/dev/null 2>&1 || $(MAKE) --no-print-directory $(TOOLS)/cmake/bin/cmake

$(TOOLS)/cmake/bin/cmake:
	@echo "cmake is missing: installing it"
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	    { apt-get install -y -qq cmake >/dev/null 2>&1 || \
	      { apt-get update -qq && apt-get install -y -qq cmake; } >/dev/null 2>&1; }; then \
	  echo "cmake: from the system's packages"; \
	else \
	  rm -rf $(TOOLS)/cmake && python3 -m venv $(TOOLS)/cmake && $(TOOLS)/cmake/bin/pip install --quiet cmake && \
	  echo "cmake: in $(TOOLS)/cmake"; \
	fi

clean-tools:
	rm -rf $(TOOLS)
