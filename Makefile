# The targets are also the steps of CI (.ci/run, .github/workflows/ci.yml). `make` or `make help` lists them.
#
# Every target that needs Python makes the environment first, and again when pyproject.toml or constraints.txt
# changed. Another interpreter: make PYTHON=python3.12 test. Another folder: make VENV=DIR test.

PYTHON ?= python3
VENV ?= .venv
DEMO_DIR ?= demo

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
STAMP := $(VENV)/.installed

# bench_nuclei needs annotated images, bench_stages slides and a model.
BENCHMARKS := reading predict sparse

# Tests that `make test` leaves to `make test-all`. With REST=1 test-all runs these alone (after `make test`).
LATER := slow or browser or ray or real_data
REST ?=
# One process per core, one test file at a time in each. JOBS=0 runs all tests in one process, as a debugger needs it.
JOBS ?= auto
PARALLEL := --numprocesses $(JOBS) --dist loadfile
PYTEST_ARGS ?=
CASES ?= 200
SEED ?= 0
FUZZ_ARGS ?=
TOOLS := .cache/tools
SBOM ?= sbom.json

export NO_ALBUMENTATIONS_UPDATE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all check docs format bench fuzz sbom audit mutants ci clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-10s %s\n", $$1, $$2 }'

install: $(STAMP)  ## make the environment in .venv with the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "Inkdot needs Python 3.11 or newer; found no '$(PYTHON)'. Name yours: make PYTHON=python3.12 install" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Inkdot needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1). Name another: make PYTHON=python3.12 install" >&2; exit 2; }
	@echo "Installing into $(VENV), once: some minutes and about 7 GB, most of it PyTorch."
	@"$(PYTHON)" scripts/check_room.py "$(VENV)"
	"$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --constraint constraints.txt --upgrade pip
# PyTorch by itself first: pip keeps its downloads until the end of a command, and this is the largest.
	"$(BIN)/python" -m pip install --quiet --constraint constraints.txt torch torchvision && \
	"$(BIN)/python" -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt \
		--editable ".[openvino,ray,pretrained,onnx,notebook,report,tensorboard,case-model]" --group dev --group docs || { \
		echo "The installation into $(VENV) stopped; pip's last lines say why. It needs about 9 GB while it runs: 'df -h' tells what is free." >&2; exit 2; }
	@touch "$@"

demo: $(STAMP)  ## the whole workflow on synthetic slides; prints the page to open
	"$(BIN)/inkdot" demo --out "$(DEMO_DIR)"

test: $(STAMP)  ## fast tests, on all cores (JOBS=0: in one process)
	"$(BIN)/python" -m pytest $(PARALLEL) -m "not ($(LATER))" $(PYTEST_ARGS)

test-all: $(STAMP)  ## all tests, with the slow, browser, Ray and real-slide ones
	"$(BIN)/python" -m pytest $(PARALLEL) --no-loadscope-reorder $(if $(REST),-m "$(LATER)") $(PYTEST_ARGS)

check: $(STAMP)  ## style, format, types and import layers
	@failed=; \
	"$(BIN)/ruff" check || failed="$$failed style"; \
	"$(BIN)/ruff" format --check || failed="$$failed format"; \
	"$(BIN)/pyright" --pythonpath "$(BIN)/python" || failed="$$failed types"; \
	"$(BIN)/lint-imports" --no-logo || failed="$$failed layers"; \
	[ -z "$$failed" ] || { echo "make check failed:$$failed" >&2; exit 1; }

docs: $(STAMP)  ## the documents as a site to read offline: site/index.html
	NO_MKDOCS_2_WARNING=1 "$(BIN)/mkdocs" build --strict --quiet
	@echo "Open site/index.html"

format: $(STAMP)  ## fix style and format
	"$(BIN)/ruff" check --fix
	"$(BIN)/ruff" format

bench: $(STAMP)  ## benchmarks of reading, prediction and sparse slides
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; "$(BIN)/python" "benchmarks/bench_$$name.py"; done

fuzz: $(STAMP)  ## changed files of every kind: CASES=200 SEED=0 (CONTRIBUTING.md)
	"$(BIN)/python" scripts/fuzz --cases $(CASES) --seed $(SEED) $(FUZZ_ARGS)

# These tools stay out of the environment that they describe.
sbom: $(STAMP)  ## the list of all components (SBOM, CycloneDX) in sbom.json
	"$(PYTHON)" -m venv "$(TOOLS)"
	"$(TOOLS)/bin/python" -m pip install --quiet cyclonedx-bom==7.5.0
	"$(TOOLS)/bin/cyclonedx-py" environment "$(BIN)/python" --output-reproducible --output-file "$(SBOM)"

audit:  ## known vulnerabilities of the pinned versions; needs the network
	@"$(PYTHON)" -m venv "$(TOOLS)" && "$(TOOLS)/bin/python" -m pip install --quiet pip-audit==2.10.1 && \
		"$(TOOLS)/bin/pip-audit" --version >/dev/null || { \
		echo "make audit needs pip-audit from the package index, which was not reached; nothing was checked." >&2; exit 2; }
	@# Strict: a package that the database does not answer for would otherwise count as free of vulnerabilities.
	@"$(TOOLS)/bin/pip-audit" --strict --requirement constraints.txt --no-deps --disable-pip 2>"$(TOOLS)/audit.txt" && \
		tail -n 1 "$(TOOLS)/audit.txt" || { \
		grep -q "known vulnerabilit" "$(TOOLS)/audit.txt" && { tail -n 1 "$(TOOLS)/audit.txt" >&2; exit 1; }; \
		echo "make audit needs a database that knows every pinned package, which was not reached; nothing was checked. See $(TOOLS)/audit.txt" >&2; exit 2; }

mutants: $(STAMP)  ## sampled mutants of the metrics and call rules that their tests do not notice
	OMP_NUM_THREADS=1 "$(BIN)/python" scripts/mutate.py

ci:  ## all steps of CI in a fresh environment
	.ci/run

clean:  ## remove files of tests, checks and builds; keep the environment
	rm -rf .pytest_cache .ruff_cache .import_linter_cache .hypothesis .ci-work build dist site
	find src tests scripts benchmarks experiments -name __pycache__ -type d -prune -exec rm -rf {} +
