# The two commands a newcomer needs are `make demo` and `make test`; `make check` is what "clean" means.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8050
# One more than there are processors: tests of browsers and faults wait a lot.
JOBS   ?= $(shell expr 1 + `nproc 2>/dev/null || echo 1`)
UV     := $(BIN)/uv

# uv knows neither the machine's own certificates nor pip's settings (proxies, mirrors) by itself.
uv_sync = $(UV) pip sync --quiet --python $(BIN)/python --require-hashes $(1)
sync = $(uv_sync) 2>/dev/null || UV_SYSTEM_CERTS=1 $(uv_sync) 2>/dev/null || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)

.DEFAULT_GOAL := help
.PHONY: help demo test check format lock proto verify-ig packages screenshots bench nightly clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV): requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "igdash needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is incomplete here. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $(UV)

$(VENV)/.runtime: $(UV) requirements/runtime.txt pyproject.toml
	@test -e $(VENV)/.dev && touch $@ || { \
	  { $(call sync,requirements/runtime.txt); } && \
	  $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . && touch $@; }

$(VENV)/.dev: $(UV) requirements/dev.txt pyproject.toml
	@$(call sync,requirements/dev.txt)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime ## Start the dashboard on recordings of a real Inspektor Gadget (PORT=8050)
	@exec $(BIN)/python -m igdash demo --port $(PORT)

packages: ## Install the Debian packages the tests need (browser, PostgreSQL), if they are missing
	@.ci/packages

test: $(VENV)/.dev packages ## Run every test (JOBS=how many at once, ARGS=for pytest)
	@$(BIN)/python -m pytest -m "not nightly" -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, rings: the definition of clean
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## Format the code and apply safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(UV) ## Resolve the dependencies again and write the lock files
	@cd requirements && ../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate bootstrap.in -o bootstrap.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate pyproject.toml requirements/build.in --extra test --extra lint -o requirements/dev.txt
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -c requirements/dev.txt pyproject.toml requirements/build.in -o requirements/runtime.txt

proto: $(VENV)/.dev ## Generate igdash_wire/ from proto/ again
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. proto/igdash_wire/ig.proto

verify-ig: $(VENV)/.runtime ## Try every gadget of a running `ig daemon` (ADDRESS=unix:///… or tcp://host:port)
	@test -n "$(ADDRESS)" || { echo "which daemon? make verify-ig ADDRESS=unix:///var/run/ig/ig.socket" >&2; exit 2; }
	@IGDASH_ENVIRONMENTS__0__NAME=daemon IGDASH_ENVIRONMENTS__0__KIND=ig-daemon \
	  IGDASH_ENVIRONMENTS__0__ADDRESS="$(ADDRESS)" exec $(BIN)/python -m igdash check daemon $(ARGS)

screenshots: $(VENV)/.dev packages ## Take pictures of every page, dark and light, wide and narrow, into docs/screenshots
	@$(BIN)/python scripts/screenshots.py

bench: $(VENV)/.dev packages ## Run every benchmark quickly; ARGS="--full" as benchmarks/README.md gives them
	@$(BIN)/python -m benchmarks $(ARGS)

nightly: $(VENV)/.dev packages ## The long fault runs, and the property tests with examples of their own
	@$(BIN)/python -m pytest -m nightly --timeout 1800
	@IGDASH_TEST_RANDOM=1 $(BIN)/python -m pytest -m "not nightly" -n $(JOBS) tests/unit tests/contracts

clean: ## Remove the environment and caches (no data)
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
