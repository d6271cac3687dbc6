# `make run` and `make test` do all the set-up; the other targets are for people who work on Quarterdeck.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := benchmarks bot charts collectors commands core deploy docs/pictures runtimes tests
# One worker more than there are cores: tests wait for engines more than they compute.
WORKERS := $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)
PYTEST_ARGS ?= -n $(WORKERS) --dist loadgroup --durations=25 --durations-min=1
BENCH_ARGS ?=
SOAK_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

# Where the engines of Debian's next release are unpacked: readable by every user, about 400 MB.
NEWER ?= /var/cache/quarterdeck/newer-engines
NEWER_TESTS ?= tests/contract tests/engines
# Another suite of Debian, such as sid, with a folder of its own: make test-newer NEWER_SUITE=sid NEWER=/var/cache/…
NEWER_SUITE ?=
PYTHONS ?= python3.11 python3.12 python3.13

# The tests start the product a thousand times. Without bytecode files, each start would compile all of it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run demo test test-newer test-pythons fuzz check lint format golden protos bench soak pictures dashboards dashboard-pictures image sbom lock packages clean help

help:        ## list the targets
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Quarterdeck needs Python 3.11 or newer; '$(PYTHON)' is older. Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Making a virtual environment failed. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.run-stamp: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing Quarterdeck into $(VENV) ..."
	@$(PIP) -r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.lock $(VENV)/.run-stamp
	@echo "Installing the development tools into $(VENV) ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@

run: $(VENV)/.run-stamp            ## watch the local engine, serve /metrics, open the console
	@exec $(BIN)/quarterdeck run

demo: $(VENV)/.run-stamp           ## Quarterdeck, Prometheus and Alertmanager on sample containers that fail; Ctrl-C removes all
	@exec $(BIN)/python -m deploy.demo

packages:    ## as root on Debian: the engines and tools the tests use
	@tests/packages

test: $(VENV)/.dev-stamp packages  ## the whole suite, on real engines
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-newer: $(VENV)/.dev-stamp packages  ## the contract and engine suites on the engines of Debian's next release; as root
	@tests/packages newer $(NEWER) $(NEWER_SUITE)
	@PATH="$(NEWER)/usr/sbin:$(NEWER)/usr/bin:$$PATH" $(BIN)/python -m pytest $(PYTEST_ARGS) $(NEWER_TESTS)

# One environment for each Python, beside .venv. A Python that is not installed is named and left out, and so is that of
# .venv, which `make test` uses.
test-pythons:                      ## the unit tests on each Python of PYTHONS that is installed
	@for python in $(PYTHONS); do \
	  if [ "$$($(BIN)/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2>/dev/null)" = $$python ]; then \
	    echo "$$python is that of $(VENV)"; \
	  elif $$python -c "import venv" 2>/dev/null; then \
	    echo "Unit tests on $$($$python --version) ..."; \
	    $(MAKE) --no-print-directory VENV=.venv-$$python PYTHON=$$python .venv-$$python/.dev-stamp || exit 1; \
	    .venv-$$python/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider tests/unit || exit 1; \
	  else echo "$$python is not installed: its unit tests are left out"; fi; \
	done

fuzz: $(VENV)/.dev-stamp           ## every decoder, on many damaged answers of engines: two minutes at most
	@timeout 300 $(BIN)/python -m pytest -q tests/unit/runtimes/test_damaged_answers.py --hypothesis-profile=fuzz -n $(WORKERS)

check: $(VENV)/.dev-stamp          ## ruff, mypy, import-linter
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev-stamp         ## ruff's formatter and its safe fixes
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

golden: $(VENV)/.dev-stamp         ## rewrite the golden files; review the diff
	GOLDEN=1 $(BIN)/python -m pytest -q tests/unit $(PYTEST_ARGS)

protos: $(VENV)/.dev-stamp         ## generate the messages of runtimes/proto and tests/standins/proto anew
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. runtimes/proto/*.proto tests/standins/proto/*.proto

bench: $(VENV)/.dev-stamp packages ## compare with docker-py and the docker CLI, on a private dockerd; BENCH_ARGS=--quick for one round
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

soak: $(VENV)/.dev-stamp packages  ## alerts in real time on a private dockerd, for an hour; SOAK_ARGS="--minutes 10"
	@$(BIN)/python -m benchmarks.soak $(SOAK_ARGS)

# ONLY="events slack" renews only these sessions and the pictures of Slack.
pictures: $(VENV)/.dev-stamp packages  ## record the README's sessions and pictures on real engines; as root, needs chromium and tmux
	@PYTHONPATH=. $(BIN)/python docs/pictures/record.py $(ONLY)

dashboards: $(VENV)/.dev-stamp     ## write the Grafana dashboards anew
	@$(BIN)/python -m charts.dashboards

dashboard-pictures: $(VENV)/.dev-stamp packages  ## draw the dashboards from the answers of a real Prometheus: four minutes; needs chromium
	@DASHBOARD_PICTURES=1 $(BIN)/python -m pytest -q tests/e2e/test_dashboards.py

IMAGE ?= localhost/quarterdeck:latest
image:       ## build the image; BASE= and IMAGE= choose what from and what it is called
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) -t $(IMAGE) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) .

SBOM ?= sbom.cdx.json
sbom: $(VENV)/.dev-stamp           ## write the software bill of materials of requirements.lock (CycloneDX); SBOM= says where
	@$(BIN)/python -m deploy.image.write_sbom $(SBOM)

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for=editable
lock: $(VENV)/.dev-stamp           ## renew both lock files
	$(LOCK) --upgrade --output-file requirements.lock pyproject.toml
	$(LOCK) --upgrade --extra dev --output-file requirements-dev.lock pyproject.toml

clean:       ## remove the environment and caches
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
