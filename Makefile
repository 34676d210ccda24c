# Two commands: `make demo` and `make test`. Each makes its own virtual environment.
PYTHON ?= python3
VENV ?= .venv
PACKAGE ?= -e .

# On a terminal the demo stays until Ctrl-C; elsewhere it walks every operation once and ends.
demo: $(VENV)/installed
	@if [ -t 1 ]; then $(VENV)/bin/openholder demo; else $(VENV)/bin/openholder demo --check; fi

test: $(VENV)/installed-for-tests
	$(VENV)/bin/python -m pytest -n auto

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)
	touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)[test]
	touch $@

.PHONY: demo test
