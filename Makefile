# Every step of CI is a target here: .ci/run and .github/workflows only call them, so each can be run by hand.
#
#   make demo          see it; on a terminal it stays until Ctrl-C
#   make quick         the tests that take no time and start no process
#   make test          all tests, against the checkout
#   make test-plugins  the tests of the plugins that are distributions of their own
#   make check         all static checks: layout, lint, types, the sources' own rules, workflows
#   make wheels        the distributions, in DIST; then make test-wheels tests them away from the sources
#   make coverage      all tests with their coverage of lines and branches
#   make mutants       break the sources in small ways, and see whether the contract kit notices, for DURATION
#   make site          the site of the documents, in SITE; a broken link fails it
#   make docs          the same, then all tests of the documents: links, commands and code blocks
#   make pages         write the pages that are generated: docs/cli.md and docs/rules.md
#   make messages      write tests/golden/messages.txt: what users read when something is wrong
#   make pictures      make the screenshots and the recording in docs/pictures, with a real browser
#   make lock          pin the dependencies of a production installation, with hashes
#   make audit         look for advisories on them
#   make sbom          list what a production installation of each distribution consists of, as CycloneDX
#   make dist          all that is installed from: wheels, sdists, lock files, SBOMs and their digests
#   make soak          load for DURATION=30m while keys, certificate, database and workers change
#   make services      what the tests start: Redis, PostgreSQL, nginx, HAProxy, Chromium, from the distribution's packages
#
# Each target makes its own virtual environment below VENV. WHEELS is a folder of wheels to test instead of the
# checkout, and HERE the folder in which the tests are.
PYTHON ?= python3
VENV ?= .venv
DIST ?= dist
BUILD ?= build
SITE ?= site
HERE ?= .
WHEELS ?=
SELECT ?=
DURATION ?= 30m

PLUGINS := $(patsubst plugins/openholder_%/setup.cfg,%,$(wildcard plugins/*/setup.cfg))
PACKAGE := $(if $(WHEELS),$(wildcard $(WHEELS)/openholder-[0-9]*.whl),-e .)
PYTEST = -m pytest -n auto --dist worksteal $(if $(SELECT),-m "$(SELECT)")
CHECKS := $(abspath $(VENV))/checks/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

demo: $(VENV)/installed
	@if [ -t 1 ]; then $(VENV)/bin/openholder demo; else $(VENV)/bin/openholder demo --check; fi

# The compiled tests are kept also where Python is told to write no bytecode: compiling them takes ten seconds.
test quick: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/installed-for-tests
	cd $(HERE) && $(abspath $(VENV))/bin/python $(PYTEST)

quick: SELECT = not slow and not subprocess
quick: test

test-plugins: $(PLUGINS:%=test-%)

$(PLUGINS:%=test-%): test-%: $(VENV)/plugins/%/installed
	cd $(HERE)/plugins/openholder_$* && $(abspath $(VENV))/plugins/$*/bin/python -m pytest

check: $(VENV)/checks/installed
	$(CHECKS)/ruff format --check .
	$(CHECKS)/ruff check .
	$(CHECKS)/mypy
	set -e; for plugin in $(PLUGINS); do (cd plugins/openholder_$$plugin && $(CHECKS)/mypy); done
	$(CHECKS)/python -m pytest -m checkout
	$(CHECKS)/zizmor --offline --quiet .github
	$(CHECKS)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(CHECKS)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(CHECKS)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(CHECKS)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(CHECKS)/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml

# Built from copies: setuptools leaves folders of its own, in which the next wheel would find files that are gone.
wheels: $(VENV)/checks/installed
	rm -rf $(BUILD)/sources $(DIST)/*.whl $(DIST)/*.tar.gz && mkdir -p $(BUILD)/sources
	git ls-files -z | xargs -0 cp --parents --target-directory=$(BUILD)/sources
	$(CHECKS)/python -m build --outdir $(DIST) $(BUILD)/sources >$(BUILD)/log 2>&1 || { cat $(BUILD)/log; exit 1; }
	set -e; for plugin in $(PLUGINS); do \
	    $(CHECKS)/python -m build --outdir $(DIST) $(BUILD)/sources/plugins/openholder_$$plugin \
	        >$(BUILD)/log 2>&1 || { cat $(BUILD)/log; exit 1; }; \
	done
	ls $(DIST)

# The tests are copied to a place without the sources: what they import is what was installed.
AWAY := $(BUILD)/away
test-wheels:
	rm -rf $(AWAY) $(VENV)/wheels && mkdir -p $(AWAY)
	git ls-files -z ':!core' ':!plugins' ':!conf' ':!server.py' | xargs -0 cp --parents --target-directory=$(AWAY)
	git ls-files -z 'plugins/*/tests/*' 'plugins/*/*.md' 'plugins/*/pyproject.toml' \
	    | xargs -0 cp --parents --target-directory=$(AWAY)
	$(MAKE) $(VENV)/wheels/installed-for-tests WHEELS=$(DIST) VENV=$(VENV)/wheels
	$(VENV)/wheels/bin/pip install --quiet atheris || echo "atheris does not install here; its test will say so"
	$(MAKE) test WHEELS=$(DIST) VENV=$(VENV)/wheels HERE=$(AWAY) SELECT="not checkout"
	$(MAKE) test-plugins WHEELS=$(DIST) VENV=$(VENV)/wheels HERE=$(AWAY)

demos: $(VENV)/installed
	$(VENV)/bin/openholder demo --check --source sqlite
	$(VENV)/bin/openholder demo --check --source csv

bench: $(VENV)/installed
	$(VENV)/bin/python bench/serve.py

# A server under load for DURATION (such as 60s, 30m or 4h), while keys, certificate, database and workers change: every
# answer has the expected records, none is lost, and memory and open files do not grow.
soak: $(VENV)/installed-for-tests
	$(VENV)/bin/python bench/soak.py --for $(DURATION)

# The sources broken in small ways, a sample with a seed: does the contract kit notice? bench/mutants.md has a run.
mutants: $(VENV)/installed-for-tests
	$(VENV)/bin/python bench/mutants.py --for $(DURATION)

# Strict: a link or an anchor that leads nowhere, or a page that is not in the navigation, fails it.
docs: site
	$(VENV)/docs/bin/python -m pytest tests/docs

site: $(VENV)/docs/installed
	rm -rf $(SITE)
	$(VENV)/docs/bin/python -m sphinx -W --keep-going -q -E -b html -c docs . $(SITE)
	$(VENV)/docs/bin/python -m pytest tests/docs/test_site.py

# Screenshots and a recording of the documents, with a real browser.
pictures: $(VENV)/installed-for-tests
	PYTHONPATH=tests $(VENV)/bin/python docs/pictures/make.py

pages: $(VENV)/installed
	$(VENV)/bin/python docs/cli_page.py >$(BUILD).cli.md && mv $(BUILD).cli.md docs/cli.md
	$(VENV)/bin/python docs/operations_page.py >$(BUILD).operations.md && mv $(BUILD).operations.md docs/operations.md
	$(VENV)/bin/openholder rehearse --rules >$(BUILD).rules.md && mv $(BUILD).rules.md docs/rules.md
	$(VENV)/bin/python tests/docs/conditions_page.py

messages: $(VENV)/installed-for-tests
	PYTHONPATH=tests $(VENV)/bin/python tests/golden/cases.py

coverage: $(VENV)/installed-for-tests
	rm -f .coverage*
	$(VENV)/bin/python -m coverage run -m pytest -n auto --dist worksteal
	$(VENV)/bin/python -m coverage combine --quiet
	$(VENV)/bin/python -m coverage report

# For production: the newest versions that setup.cfg allows, with the extras that it needs there; and for each plugin
# that is a distribution of its own, the same versions and what it needs besides.
LOCK := requirements/production.txt
EXTRAS_sqlalchemy := --extra mysql
COMPILE = $(VENV)/release/bin/uv pip compile --universal --python-version 3.11 --upgrade --generate-hashes \
    --no-emit-index-url --quiet --custom-compile-command "make lock"
lock: $(VENV)/release/installed
	$(COMPILE) setup.cfg --extra fast --extra redis --output-file $(LOCK)
	$(foreach plugin,$(PLUGINS),echo . | $(COMPILE) - plugins/openholder_$(plugin)/setup.cfg $(EXTRAS_$(plugin)) \
	    --constraints $(LOCK) --no-emit-package openholder --output-file requirements/$(plugin).txt &&) true

audit: $(VENV)/release/installed
	$(VENV)/release/bin/pip-audit --strict --disable-pip --require-hashes --requirement $(LOCK)

# For each distribution: the locked versions, and the wheels that `make wheels` made.
sbom: $(VENV)/release/installed
	set -e; for plugin in "" $(PLUGINS); do \
	    name=openholder$${plugin:+-$$plugin}; \
	    rm -rf $(VENV)/production && $(PYTHON) -m venv --without-pip $(VENV)/production; \
	    $(VENV)/release/bin/uv pip install --quiet --python $(VENV)/production --require-hashes \
	        --requirement $(LOCK) $${plugin:+--requirement requirements/$$plugin.txt}; \
	    $(VENV)/release/bin/uv pip install --quiet --python $(VENV)/production --no-deps \
	        --no-index --find-links $(DIST) openholder $${plugin:+$$name}; \
	    $(VENV)/production/bin/openholder --version; \
	    $(VENV)/release/bin/cyclonedx-py environment $(VENV)/production/bin/python --output-reproducible \
	        --output-format JSON --output-file $(DIST)/$$name.cdx.json; \
	done

dist: wheels sbom
	cp requirements/*.txt $(DIST)
	cd $(DIST) && rm -f SHA256SUMS && sha256sum * >SHA256SUMS && cat SHA256SUMS

# Ubuntu has no package of Chromium; the machines of its workflows have Chrome.
BROWSER := $(shell command -v chromium || command -v google-chrome || echo package)
SERVICES := $(if $(filter package,$(BROWSER)),chromium) haproxy mariadb-server nginx-light pgbouncer postgresql redis-server systemd
services:
	dpkg --status $(SERVICES) >/dev/null 2>&1 \
	    || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq -y $(SERVICES) >/dev/null; }

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)
	touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet $(PACKAGE)[test]
	touch $@

# An environment for each: tests of the server say which kinds of source are installed.
$(VENV)/plugins/%/installed: setup.cfg plugins/openholder_%/setup.cfg
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet $(PACKAGE) \
	    $(if $(WHEELS),$(wildcard $(WHEELS)/openholder_$*-*.whl),-e plugins/openholder_$*)[test]
	touch $@

$(VENV)/checks/installed: setup.cfg pyproject.toml $(wildcard plugins/*/setup.cfg)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -e .[dev,redis,test] $(PLUGINS:%=-e plugins/openholder_%[dev])
	touch $@

$(VENV)/docs/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet -e .[docs,test]
	touch $@

$(VENV)/release/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet "cyclonedx-bom >= 7, < 8" "pip-audit >= 2.9, < 3" "uv >= 0.9, < 1"
	touch $@

.PHONY: demo test quick test-plugins $(PLUGINS:%=test-%) check wheels test-wheels demos bench soak mutants docs site pages pictures \
    messages coverage lock audit sbom dist services
