# make demo and make test are all that is needed; both make what they need themselves.
# Assumed are make and a Python of 3.11 or later (PYTHON=python3.12 names another one than python3).

PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
# Further words for pytest: make test PYTEST="-k resume -x"
PYTEST ?=

SOURCES := pyproject.toml README.md LICENSE $(shell find sshrun -type f ! -name '*.pyc')
SHELL_SCRIPTS := $(wildcard sshrun/*.sh sshrun/*/*.sh docker/*.sh tests/*.sh tests/*/*.sh)
REMOTE_PROGRAM = cat $(filter-out sshrun/remote/main.sh,$(wildcard sshrun/remote/*.sh)) sshrun/remote/main.sh
# What is tested is the wheel, installed as a user installs it; a PYTHONPATH could put the source directory before it.
RUN_TESTS = env -u PYTHONPATH $(TEST_VENV)/bin/pytest
# Most tests wait for others most of the time.
WORKERS ?= 3

export PYTHON PIP_DISABLE_PIP_VERSION_CHECK := 1

.DELETE_ON_ERROR:
# Two at a time would get in each other's way at apt's lock.
.NOTPARALLEL:
.PHONY: help venv demo test test-long test-mltk coverage lint docs bench bench-json picture wheel clean

help:
	@echo 'make demo       train a small model on a throwaway SSH server of your own'
	@echo 'make test       a quick pass of every tier of tests'
	@echo 'make test-long  the long fault and proof runs'
	@echo 'make test-mltk  a real model, trained by mltk from the package index (3 GB)'
	@echo 'make coverage   how much of sshrun the tests run'
	@echo 'make lint       ruff, mypy, import-linter, shellcheck'
	@echo 'make bench      speed against commands typed by hand (bench-json: as data)'
	@echo 'make venv       .venv/bin/sshrun, running from this directory, and the tools of development'
	@echo 'make docs       docs/settings.md and the attributes of SshMixin, from the table of settings'
	@echo 'make picture    docs/run.svg, from a real run'
	@echo 'make wheel      dist/*.whl'
	@echo 'make clean      remove all of that'

# First of all, so that who has to install packages by hand hears of all of them at once.
packages-%:
	@tests/packages.sh $*

venv: packages-venv $(VENV)/.tools

# pip first: it writes .venv/bin/sshrun, and an old one writes a slow one (PyPA pip 23 imports re at every start).
$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade pip
	$(VENV)/bin/pip install --quiet --editable .
	$(VENV)/bin/python -m compileall -q sshrun
	@touch $@

$(VENV)/.tools: $(VENV)/.made
	$(VENV)/bin/pip install --quiet --editable '.[lint]'
	@touch $@

demo: packages-demo $(VENV)/.made
	cd examples/digits && SSHRUN_USER_SETTINGS_PATH=/dev/null ../../$(VENV)/bin/sshrun --sandbox train digits --epochs 20
	@echo
	@echo 'The results, in examples/digits:'
	@cd examples/digits && ls -l digits.zip metrics.json

test: packages-test $(TEST_VENV)/.made
	$(RUN_TESTS) -m 'not long and not mltk' --numprocesses $(WORKERS) --dist loadgroup $(PYTEST)

run_long = $(RUN_TESTS) -m '$(1)'
# Where PYTEST selects tests of one part alone, pytest finds none in the other: exit 5.
or_none = || [ $$? -eq 5 ]

test-long: packages-test $(TEST_VENV)/.made
	$(call run_long,long and not alone) --numprocesses $(WORKERS) --dist loadgroup $(PYTEST) $(or_none)
	$(call run_long,long and alone) $(PYTEST) $(or_none)

# -s: the figures are worth reading.
test-mltk: packages-test $(TEST_VENV)/.made
	$(RUN_TESTS) -m mltk -s $(PYTEST)

# tests/unit and tests/server, with sshrun measured where it runs: in a program of its own, mostly.
coverage: packages-test $(TEST_VENV)/.made
	rm -rf .coverage && mkdir .coverage
	env -u PYTHONPATH $(TEST_VENV)/bin/coverage run -m pytest -q -m 'not long and not alone' \
	  --numprocesses $(WORKERS) --dist loadgroup $(or $(PYTEST),tests/unit tests/server)
	$(TEST_VENV)/bin/coverage combine -q
	@printf 'coverage of sshrun, in percent of its statements: ' && $(TEST_VENV)/bin/coverage report

lint: packages-lint $(VENV)/.tools
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python docs/settings.py --check
	shellcheck --shell=sh $(SHELL_SCRIPTS)
	{ echo program=; $(REMOTE_PROGRAM); } | shellcheck --norc --severity=warning --shell=sh -
	shellcheck .ci/run sshrun/completion/sshrun.bash

bench: packages-test $(TEST_VENV)/.made
	@env -u PYTHONPATH $(TEST_VENV)/bin/python tests/bench

bench-json: packages-test $(TEST_VENV)/.made
	@env -u PYTHONPATH $(TEST_VENV)/bin/python tests/bench --json

docs: venv
	$(VENV)/bin/python docs/settings.py

picture: venv
	$(VENV)/bin/python docs/picture.py

wheel: packages-venv dist/.made

$(TEST_VENV)/bin/pip:
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/pip install --quiet --upgrade pip

dist/.made: $(SOURCES) | $(TEST_VENV)/bin/pip
	rm -rf dist
	$(TEST_VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	@touch $@

# The second line: pip leaves a wheel of the same version as it is.
$(TEST_VENV)/.made: dist/.made | $(TEST_VENV)/bin/pip
	$(TEST_VENV)/bin/pip install --quiet "$$(ls dist/*.whl)[test]"
	$(TEST_VENV)/bin/pip install --quiet --force-reinstall --no-deps dist/*.whl
	@touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV) dist build .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -f examples/digits/digits.zip examples/digits/metrics.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
