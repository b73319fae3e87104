# make demo | test | test-all | bench | lint | format | clean
#
# Each target installs what it needs, once: into the virtual environment `.venv`, where
# stamp files say what is there. To install other builds of the frameworks:
#     make demo BACKEND=torch TORCH="torch==2.13.0 --index-url ..."

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DELETE_ON_ERROR:

PYTHON ?= python3
BACKEND ?= jax
BACKENDS ?= jax torch tensorflow
# Of `ksim demo`: make demo DATASET=digits, or make demo ARGS="--data my_pictures".
DATASET ?=
ARGS ?=
# Of pytest: make test TESTS="tests/losses -k triplet".
TESTS ?=
# Set it to go on with the next backend after a failure.
KEEP_GOING ?=

JAX ?= jax
TORCH ?= torch==2.13.0
ifeq ($(shell uname -sm),Linux x86_64)
TENSORFLOW ?= tensorflow-cpu
else
TENSORFLOW ?= tensorflow
endif

ifneq ($(filter-out jax torch tensorflow,$(BACKEND) $(BACKENDS)),)
$(error BACKEND must be jax, torch or tensorflow. Received: $(BACKEND) $(BACKENDS))
endif

TEST_TOOLS := "pytest>=8.2" "hypothesis>=6.100"
LINT_TOOLS := "ruff>=0.17,<0.18" "mypy>=2.4,<3" "import-linter>=2.16,<3" \
	"pandas-stubs>=2.2"
# Optional packages of the index, which are tried in the environment without a framework.
ENGINES := "usearch>=2.16" "nmslib>=2.1" "redis>=5" "lancedb>=0.30" "pymilvus>=3.0" \
	"milvus-lite>=2.5" "pyarrow>=18"
# Carries a Milvus server; what it declares to need is for its command.
MILVUS_SERVER := milvus==2.3.5
BENCH_TOOLS := "pytorch-metric-learning>=2.9"

VENV := .venv
# Has no framework: what works without one is tested there.
CORE := .venv-core
FASHION_MNIST := /usr/share/datasets/fashion-mnist
INSTALL = -m pip install --quiet --quiet --disable-pip-version-check

.PHONY: help demo test test-all bench lint format clean

help:
	@echo "make demo [BACKEND=jax|torch|tensorflow]  train, index, calibrate, judge, search"
	@echo "make test                                 the suite, once per backend"
	@echo "make test-all                             the same with its long loops"
	@echo "make bench                                the benchmarks"
	@echo "make lint | format                        check | tidy the code"
	@echo "make clean                                remove what these have made"

# ----------------------------------------------------------------------- what they do

demo: $(VENV)/.stamp-package $(VENV)/.stamp-$(BACKEND) $(if $(filter fashion-mnist,$(DATASET)),fashion-mnist)
	KERAS_BACKEND=$(BACKEND) $(VENV)/bin/ksim demo $(if $(DATASET),--dataset $(DATASET)) $(ARGS)

TEST_NEEDS := $(VENV)/.stamp-package $(VENV)/.stamp-test $(CORE)/.stamp-package \
	$(CORE)/.stamp-test $(CORE)/.stamp-engines $(BACKENDS:%=$(VENV)/.stamp-%) \
	fashion-mnist milvus-server redis-server

test: $(TEST_NEEDS)
	@$(VENV)/bin/python tests/run.py --core $(CORE)/bin/python --backends $(BACKENDS) \
		$(if $(KEEP_GOING),--keep-going) -- $(TESTS)

test-all: $(TEST_NEEDS)
	@KSIM_LONG=1 $(VENV)/bin/python tests/run.py --core $(CORE)/bin/python --backends $(BACKENDS) \
		$(if $(KEEP_GOING),--keep-going) -- $(TESTS)

# Of these: make bench BENCHMARKS=import_time BACKENDS=jax.
BENCHMARKS ?= $(filter-out __init__ report steps,$(basename $(notdir $(wildcard benchmarks/*.py))))

bench: $(VENV)/.stamp-package $(VENV)/.stamp-bench $(BACKENDS:%=$(VENV)/.stamp-%)
	@for backend in $(BACKENDS); do for name in $(BENCHMARKS); do \
		echo "== $$name on $$backend"; \
		KERAS_BACKEND=$$backend $(VENV)/bin/python -m benchmarks.$$name; \
	done; done

lint: $(VENV)/.stamp-package $(VENV)/.stamp-lint
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.stamp-lint
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) $(CORE) build dist *.egg-info demo \
		.pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find keras_similarity tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------ what they need

.PRECIOUS: %/.stamp-venv
%/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $*/bin/python || { echo "Making $*"; $(PYTHON) -m venv $*; } \
		|| { rm -rf $*; echo "No virtual environment can be made: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# The package itself, editable, with what its figures and its command want.
%/.stamp-package: pyproject.toml | %/.stamp-venv
	@echo "Installing keras-similarity[cli] into $*"
	@$*/bin/python $(INSTALL) --editable ".[cli]"
	@touch $@

%/.stamp-test: | %/.stamp-venv
	@echo "Installing pytest and hypothesis into $*"
	@$*/bin/python $(INSTALL) $(TEST_TOOLS)
	@touch $@

$(CORE)/.stamp-engines: | $(CORE)/.stamp-package
	@echo "Installing the optional engines and stores into $(CORE)"
	@$(CORE)/bin/python $(INSTALL) $(ENGINES)
	@touch $@

$(VENV)/.stamp-lint: | $(VENV)/.stamp-venv
	@echo "Installing ruff, mypy and import-linter into $(VENV)"
	@$(VENV)/bin/python $(INSTALL) $(LINT_TOOLS)
	@touch $@

$(VENV)/.stamp-jax: | $(VENV)/.stamp-venv
	@echo "Installing $(JAX) into $(VENV)"
	@$(VENV)/bin/python $(INSTALL) $(JAX)
	@touch $@

$(VENV)/.stamp-torch: | $(VENV)/.stamp-venv
	@echo "Installing $(TORCH) into $(VENV); this takes a while"
	@$(VENV)/bin/python $(INSTALL) $(TORCH)
	@touch $@

$(VENV)/.stamp-tensorflow: | $(VENV)/.stamp-venv
	@echo "Installing $(TENSORFLOW) into $(VENV); this takes a while"
	@$(VENV)/bin/python $(INSTALL) $(TENSORFLOW) "tensorboard>=2.18"
	@touch $@

# After torch, which it would otherwise install by itself, in a larger build.
$(VENV)/.stamp-bench: $(VENV)/.stamp-torch
	@echo "Installing pytorch-metric-learning into $(VENV)"
	@$(VENV)/bin/python $(INSTALL) $(BENCH_TOOLS)
	@touch $@

# Debian packages and a server that there is for Linux on x86 only. Without them the tests
# that want them are skipped, and the demo says what is missing: no reason to stop here.
.PHONY: fashion-mnist redis-server milvus-server
# $(call apt,PACKAGE,STAMP OF A FAILURE,WHAT IS LOST)
define apt
echo "Installing the Debian package $(1)"; \
as_root=$$([ "$$(id -u)" = 0 ] || echo "sudo -n"); \
{ $$as_root apt-get update && $$as_root env DEBIAN_FRONTEND=noninteractive \
	apt-get install --yes --no-install-recommends $(1); \
} >$(dir $(2))apt-$(1).log 2>&1 </dev/null && exit 0; \
touch $(2); \
echo "It cannot be installed here (see $(dir $(2))apt-$(1).log): $(3)."
endef

fashion-mnist: | $(VENV)/.stamp-venv
	@if [ -e $(FASHION_MNIST) ] || [ -e $(VENV)/.stamp-no-fashion-mnist ]; then exit 0; fi; \
	$(call apt,dataset-fashion-mnist,$(VENV)/.stamp-no-fashion-mnist,tests on Fashion-MNIST are skipped)

redis-server: | $(CORE)/.stamp-venv
	@if command -v redis-server >/dev/null || [ -e $(CORE)/.stamp-no-redis ]; then exit 0; fi; \
	$(call apt,redis-server,$(CORE)/.stamp-no-redis,tests on a Redis server are skipped)

milvus-server: | $(CORE)/.stamp-engines
	@if [ -e $(CORE)/.stamp-milvus ] || [ -e $(CORE)/.stamp-no-milvus ]; then exit 0; fi; \
	echo "Installing $(MILVUS_SERVER) into $(CORE)"; \
	if [ "$$(uname -sm)" = "Linux x86_64" ] && $(CORE)/bin/python $(INSTALL) --no-deps \
		"$(MILVUS_SERVER)" >$(CORE)/milvus.log 2>&1; then touch $(CORE)/.stamp-milvus; exit 0; fi; \
	touch $(CORE)/.stamp-no-milvus; \
	echo "It cannot be installed here (see $(CORE)/milvus.log): tests on a Milvus server are skipped."
