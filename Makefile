# Everything here works from a bare checkout with Python 3.11 or newer and make.

PYTHON ?= python3
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
# One file for what the demo needs, one each for what tests and documentation need besides.
INSTALLED := $(VENV)/installed
INSTALLED_TEST := $(VENV)/installed-test
INSTALLED_DOCS := $(VENV)/installed-docs
LOG := $(VENV)/install.log

.PHONY: help demo test docs
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'PYTHON=python3.13 chooses the interpreter, ARGS="..." is passed on:'
	@echo '  make demo ARGS=--check       one change, seen to arrive; then it ends'
	@echo '  make test ARGS="-k signing"  some of the tests'

demo: $(INSTALLED)  ## admin, worker and a receiver page on this machine, until Ctrl-C
	@$(VENV_PYTHON) -m project.demo $(ARGS)

test: $(INSTALLED_TEST)  ## the whole test suite
	@$(VENV_PYTHON) -m pytest $(ARGS)

docs: $(INSTALLED_DOCS)  ## the documentation as HTML, in build/docs
	@$(VENV_PYTHON) -m sphinx -W --keep-going -n -q -E -b html docs build/docs $(ARGS)
	@echo 'Open build/docs/index.html'

$(VENV_PYTHON):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo 'Python 3.11 or newer is needed, and "$(PYTHON)" is not. Name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.13' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'The venv module of "$(PYTHON)" is missing. Install it, on Debian and Ubuntu with: apt install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(INSTALLED): pyproject.toml | $(VENV_PYTHON)
	@echo 'Installing into $(VENV) ...'
	@$(call install,-e .)
	@touch $@

$(INSTALLED_TEST): pyproject.toml | $(VENV_PYTHON)
	@echo 'Installing with the tests into $(VENV) ...'
	@$(call install,--upgrade 'pip>=25.1')
	@$(call install,-e . --group test)
	@touch $(INSTALLED) $@

$(INSTALLED_DOCS): pyproject.toml | $(VENV_PYTHON)
	@echo 'Installing with the documentation tools into $(VENV) ...'
	@$(call install,--upgrade 'pip>=25.1')
	@$(call install,-e . --group docs)
	@touch $(INSTALLED) $@

# Dependency groups came with pip 25.1.
define install
$(VENV_PYTHON) -m pip install --disable-pip-version-check $(1) >$(LOG) 2>&1 || { \
  tail -n 15 $(LOG) >&2; \
  echo 'The installation failed; all of it is in $(LOG). pip must reach pypi.org (or your own index): check network and proxy, then run this again.' >&2; exit 1; }
endef
