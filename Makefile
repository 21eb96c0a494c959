# mobench: every recipe that people and CI use. `make` lists them.

# The first Python of 3.11 or later; `make setup PYTHON=…` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)

BIN := .venv/bin
DEMO := demo
# The measuring runners that the tests run: of this machine, and of a phone (under qemu).
RUNNERS := host android-arm64+dotprod
BENCHES := parity runner host_cost sampler startup language store boards phones
# Tests wait for devices more than they compute; those of a file share what it set up, and conftest.py orders the files.
JOBS ?= 3
PARALLEL = -n $(JOBS) --dist loadfile --no-loadscope-reorder
# Ours to lint; embedded data and golden texts are not code.
CODE := mobench_lang targets specs tests benchmarks .ci
PATHS = $(wildcard $(CODE))

# One row per precision of the newest run: medians over launches, and what became of the `expect`.
define DEMO_TABLE
SELECT r.quant,
       count(*) AS launches,
       round(median(r.prefill_rate)) AS "prefill tok/s",
       round(median(r.decode_rate)) AS "decode tok/s",
       round(median(r.ttft) / 1e6, 2) AS "ttft ms",
       round(max(r.peak_memory) / 1048576, 1) AS "peak MiB",
       any_value(v.text) AS expectation,
       any_value(v.status) AS verdict
FROM results r
LEFT JOIN verdict v ON v.run_id = r.run_id AND v.severity = 'expect' AND v.groups['quant'] = r.quant
WHERE r.run_id = (SELECT run_id FROM run ORDER BY created_ns DESC LIMIT 1)
GROUP BY r.quant
ORDER BY r.quant
endef
export DEMO_TABLE

.DEFAULT_GOAL := help
.PHONY: help setup runners demo test check lint types golden package bench fmt lock clean

help:  ## list the recipes
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */\1|/' | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

setup:  ## make .venv with everything (quick when nothing changed)
	@test -n "$(PYTHON)" || { echo "setup: mobench needs Python 3.11 or later (Debian: apt-get install python3 python3-venv)" >&2; exit 2; }
	@$(PYTHON) .ci/setup.py

runners: setup  ## build the measuring runners that the tests need (minutes once, then nothing)
	@$(BIN)/mobench runner build $(RUNNERS)

demo: setup  ## set everything up and benchmark the embedded model on this machine
	$(BIN)/mobench compile specs/examples/quickstart.bench -o $(DEMO)/build
	$(BIN)/mobench exec $(DEMO)/build --runs $(DEMO)/runs --db $(DEMO)/mobench.duckdb
	$(BIN)/mobench sql --db $(DEMO)/mobench.duckdb "$$DEMO_TABLE"

test: setup runners  ## set everything up and run the tests
	$(BIN)/pytest $(PARALLEL)

check: setup runners lint types package  ## what CI runs: lint, types, tests with golden files, the wheel
	$(BIN)/pytest $(PARALLEL) --complete-golden

lint: setup .venv/tidy  ## ruff: rules and format; clang-tidy over the runner when it has changed
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)

# A process per file: in one for all, the check of va_list confuses them.
.venv/tidy: VERSION = '-DMOBENCH_VERSION="0"' '-DMOBENCH_BUILD="of the linter"'
.venv/tidy: $(wildcard targets/runner/*.[ch]) targets/runner/.clang-tidy | setup
	@command -v clang-tidy >/dev/null || { echo "lint: clang-tidy is missing (Debian: apt-get install clang-tidy)" >&2; exit 2; }
	@headers=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/include; \
	printf '%s\n' targets/runner/*.c | xargs -P "$$(getconf _NPROCESSORS_ONLN)" -I FILE \
	  clang-tidy --quiet FILE -- -std=c11 -D_GNU_SOURCE $(VERSION) "-I$$headers" >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@

types: setup  ## mypy --strict
	$(BIN)/mypy
	$(BIN)/mypy .ci/setup.py .ci/package.py tests/conftest.py tests/test_golden.py tests/architecture tests/plugin tests/project

golden: setup runners  ## rewrite the golden files; review them with git diff
	$(BIN)/pytest $(PARALLEL) --update-golden
	@git --no-pager diff --stat -- tests/golden

package: setup  ## build the wheel and try it in an environment of its own
	$(BIN)/python .ci/package.py

bench: setup  ## what mobench itself costs, beside its peers; rewrites docs/performance.md (about 20 minutes)
	@test -d .bench-peers || $(BIN)/python -m pip install --quiet --target .bench-peers jsonnet python-hcl2
	@failed=; for name in $(BENCHES); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || failed="$$failed $$name"; done; \
	$(BIN)/python benchmarks/report.py; test -z "$$failed" || { echo "goal missed:$$failed" >&2; exit 1; }

fmt: setup  ## format the code
	$(BIN)/ruff check --fix-only --quiet $(PATHS)
	$(BIN)/ruff format $(PATHS)

lock: ## write .ci/constraints.txt anew
	@$(PYTHON) .ci/setup.py lock

clean:  ## remove what the recipes made here (not the user's cache)
	rm -rf .venv .venv.lock .bench-peers build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
