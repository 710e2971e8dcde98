# The commands for working with Tandem. `make help` lists them.

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
export TORCH_INDEX
export TANDEM_COMMIT ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)

BACKENDS := $(subst $(comma), ,$(or $(TANDEM_BACKENDS),tensorflow pytorch))
comma := ,
SERVICES := stack cli gateway loadtest pipelines $(BACKENDS)
TEST := .venv/test/bin
LOCKED := $(wildcard services/*/requirements.in benchmarks/peers/*/requirements.in) \
  tests/requirements.in tests/backend/requirements.in tests/clients/requirements.in tests/kubernetes/requirements.in tests/toy/requirements.in

.DEFAULT_GOAL := help
.PHONY: help setup up demo welcome test faults soak conformance check fmt bench bench-search bench-serving resolve lock vendor screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## check the machine and create the services' virtual environments
	@$(PYTHON) services/stack/check.py
	@$(PYTHON) -m services.stack.environments $(SERVICES)

up: setup ## run everything in the foreground, without containers
	@.venv/stack/bin/python -m services.stack up

demo: setup ## train both backends and show one table; KEEP=1 leaves the page running
	@.venv/stack/bin/python -m services.stack demo $(if $(KEEP),--keep)

welcome: setup ## retrain the starter model that an empty model volume receives
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m benchmarks.welcome

test: setup ## run all tests, or one suite: make test SUITE=unit
	@$(PYTHON) -m services.stack.environments test clients kubernetes
	@$(PYTHON) tests/run.py $(if $(SUITE),--suite $(SUITE)) $(BACKENDS)

faults: setup ## inject every fault and attack: make faults ARGS="--only redis-killed"
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m tests.faults $(ARGS)

soak: setup ## measure whether memory grows under traffic: make soak MINUTES=20
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m benchmarks.soak --minutes $(or $(MINUTES),20) $(ARGS)

conformance: ## test one backend: make conformance BACKEND=pytorch
	@test -f services/$(or $(BACKEND),-)/backend.py || { echo "Name a backend: make conformance BACKEND=pytorch"; exit 1; }
	@$(PYTHON) services/stack/check.py
	@$(PYTHON) -m services.stack.environments $(BACKEND)
	@.venv/$(BACKEND)/bin/python -m pip install --disable-pip-version-check --quiet -r tests/backend/requirements.txt
	@TANDEM_TEST_BACKEND=$(BACKEND) TF_CPP_MIN_LOG_LEVEL=3 .venv/$(BACKEND)/bin/python -m pytest -q tests/backend

check: ## lint, types and import contracts
	@$(PYTHON) services/stack/check.py
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/ruff check . && $(TEST)/ruff format --check .
	@$(TEST)/mypy
	@$(TEST)/lint-imports

fmt: ## format the code
	@$(TEST)/ruff format . && $(TEST)/ruff check --fix .

bench: setup ## measure trainings, parity, job start, load tests and malformed images
	@command -v hey > /dev/null || { echo "hey is missing: sudo apt-get install -y hey"; exit 1; }
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m benchmarks.epochs
	@$(TEST)/python -m benchmarks.parity
	@$(TEST)/python -m benchmarks.job_start
	@$(TEST)/python -m benchmarks.loadtest
	@$(TEST)/python -m benchmarks.malformed

bench-search: setup ## compare the search with KerasTuner's, for the same number of epochs
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m benchmarks.search $(ARGS)

bench-serving: setup ## measure serving beside other servers
	@command -v wrk > /dev/null || { echo "wrk is missing: sudo apt-get install -y wrk"; exit 1; }
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m benchmarks.serving $(ARGS)

resolve: ## check that every requirement has a wheel for amd64 and arm64 and each Python version
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python tests/resolve.py

# The lock omits CUDA packages, so that a CPU build installs none. A CUDA build of torch requires its own by itself.
# `nvidia-pytriton` is no CUDA package: it contains the server Triton.
lock: ## write every requirements.txt from its requirements.in (needs uv)
	@for in in $(LOCKED); do out=$${in%.in}.txt; \
	  uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	    --no-emit-find-links --index-strategy unsafe-best-match $$in -o $$out \
	  && sed -i -E '/^nvidia-pytriton==/b; /^(nvidia-|cuda-|triton==)/d; s/\+cpu//; s/^torch==([0-9.]+).*/torch==\1/' $$out \
	  && awk '!seen[$$0]++' $$out > $$out.new && mv $$out.new $$out || exit 1; done

vendor: ## fetch the page's libraries from npm and check them (needs npm)
	@sh services/dashboard/vendor.sh $(ARGS)

screenshots: setup ## take the pictures of docs/screenshots (needs chromium and MNIST)
	@$(PYTHON) -m services.stack.environments test
	@$(TEST)/python -m tests.browser.screenshots

clean: ## remove environments and caches, but not models and data
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .import_linter_cache .tandem/demo-* .tandem/test-* .tandem/faults-*
	@find . -name __pycache__ -prune -exec rm -rf {} +
