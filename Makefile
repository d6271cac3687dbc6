# `make run` and `make test` install everything that they need. The other targets are for developers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := benchmarks bot charts collectors commands core deploy docs/pictures runtimes tests
# Two workers more than the number of cores, because tests mostly wait for engines.
WORKERS := $(shell expr $$(nproc 2>/dev/null || echo 1) + 2)
PYTEST_ARGS ?= -n $(WORKERS) --dist loadgroup --durations=25 --durations-min=1
BENCH_ARGS ?=
SOAK_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

# The folder for the engines of Debian's next release. Every user can read it; it needs about 400 MB.
NEWER ?= /var/cache/quarterdeck/newer-engines
NEWER_TESTS ?= tests/contract tests/engines
# Another suite of Debian, such as sid, needs a separate folder: make test-newer NEWER_SUITE=sid NEWER=/var/cache/…
NEWER_SUITE ?=
PYTHONS ?= python3.11 python3.12 python3.13

# The tests start the product about a thousand times. Without bytecode files, each start would compile all its modules.
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

run: $(VENV)/.run-stamp            ## start Quarterdeck: watch the local engines, serve /metrics, open the console
	@exec $(BIN)/quarterdeck run

demo: $(VENV)/.run-stamp           ## run Quarterdeck, Prometheus, Alertmanager and sample containers that fail; Ctrl-C removes all of them
	@exec $(BIN)/python -m deploy.demo

packages:    ## install the engines and tools that the tests use; as root on Debian
	@tests/packages

test: $(VENV)/.dev-stamp packages  ## run all tests, on real engines
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-newer: $(VENV)/.dev-stamp packages  ## run the contract and engine tests with the engines of Debian's next release; as root
	@tests/packages newer $(NEWER) $(NEWER_SUITE)
	@PATH="$(NEWER)/usr/sbin:$(NEWER)/usr/bin:$$PATH" $(BIN)/python -m pytest $(PYTEST_ARGS) $(NEWER_TESTS)

# Each Python has its own environment, in addition to .venv. A Python that is not installed is skipped with a message, and
# so is the Python of .venv, which `make test` uses.
test-pythons:                      ## run the unit tests with each installed Python of PYTHONS
	@for python in $(PYTHONS); do \
	  if [ "$$($(BIN)/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])' 2>/dev/null)" = $$python ]; then \
	    echo "$$python is that of $(VENV)"; \
	  elif $$python -c "import venv" 2>/dev/null; then \
	    echo "Unit tests on $$($$python --version) ..."; \
	    $(MAKE) --no-print-directory VENV=.venv-$$python PYTHON=$$python .venv-$$python/.dev-stamp || exit 1; \
	    .venv-$$python/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider tests/unit || exit 1; \
	  else echo "$$python is not installed: its unit tests are left out"; fi; \
	done

fuzz: $(VENV)/.dev-stamp           ## test every decoder with damaged answers of engines; at most two minutes
	@timeout 300 $(BIN)/python -m pytest -q tests/unit/runtimes/test_damaged_answers.py --hypothesis-profile=fuzz -n $(WORKERS)

check: $(VENV)/.dev-stamp          ## run ruff, mypy and import-linter
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev-stamp         ## run ruff's formatter and its safe fixes
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

golden: $(VENV)/.dev-stamp         ## rewrite the golden files; review the diff
	GOLDEN=1 $(BIN)/python -m pytest -q tests/unit $(PYTEST_ARGS)

protos: $(VENV)/.dev-stamp         ## generate the messages of runtimes/proto and tests/standins/proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. runtimes/proto/*.proto tests/standins/proto/*.proto

bench: $(VENV)/.dev-stamp packages ## compare with docker-py and the docker CLI, on a private dockerd; BENCH_ARGS=--quick for one round
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

soak: $(VENV)/.dev-stamp packages  ## measure alerts in real time on a private dockerd, for an hour; SOAK_ARGS="--minutes 10"
	@$(BIN)/python -m benchmarks.soak $(SOAK_ARGS)

# ONLY="events slack" records only these sessions and the pictures of Slack.
pictures: $(VENV)/.dev-stamp packages  ## record the README's sessions and pictures on real engines; as root, needs chromium and tmux
	@PYTHONPATH=. $(BIN)/python docs/pictures/record.py $(ONLY)

dashboards: $(VENV)/.dev-stamp     ## generate the Grafana dashboards
	@$(BIN)/python -m charts.dashboards

dashboard-pictures: $(VENV)/.dev-stamp packages  ## draw the dashboards with the query results of a real Prometheus; four minutes, needs chromium
	@DASHBOARD_PICTURES=1 $(BIN)/python -m pytest -q tests/e2e/test_dashboards.py

IMAGE ?= localhost/quarterdeck:latest
image:       ## build the image; BASE= sets the base image, IMAGE= the name
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) -t $(IMAGE) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) .

SBOM ?= sbom.cdx.json
sbom: $(VENV)/.dev-stamp           ## write the software bill of materials of requirements.lock (CycloneDX); SBOM= sets the file
	@$(BIN)/python -m deploy.image.write_sbom $(SBOM)

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for=editable
lock: $(VENV)/.dev-stamp           ## update both lock files
	$(LOCK) --upgrade --output-file requirements.lock pyproject.toml
	$(LOCK) --upgrade --extra dev --output-file requirements-dev.lock pyproject.toml

clean:       ## remove the environment and caches
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
