"""The files for systemd, containers and Kubernetes: valid, restricted, and in agreement with the server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from openholder.config import Configuration
from openholder.fiskil import sample
from openholder.server.app import DRAIN, IDLE_GRACE
from openholder.sources.registry import OPEN_TIMEOUT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = ("openholder.service", "openholder.socket", "openholder-standby.service")
USER = 10001


# -- systemd ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path):
    """The units as docs/deploy.md installs them, with a program that is there."""
    for name in UNITS:
        text = (files("openholder.conf") / name.replace("-standby", "")).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/openholder/current/bin/openholder", sys.executable))
    return tmp_path


def analyze(*arguments):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (make services)")
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C"}
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.subprocess
def test_systemd_has_nothing_against_the_units(units):
    verified = analyze("verify", "--man=no", "--recursive-errors=no", *(str(units / name) for name in UNITS))
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_service_is_exposed_to_little(units):
    """systemd's own rating: 0.0 is nothing, 10.0 is a service without any restriction."""
    rated = analyze("security", "--offline=true", "--threshold=20", str(units / "openholder.service"))
    assert rated.returncode == 0, rated.stdout[-3000:]


def test_the_service_fetches_no_keys_before_it_starts(units):
    """`openholder check` fails while Fiskil's host is away, when the server itself could start."""
    text = (units / "openholder.service").read_text()
    assert "ExecStartPre" not in text
    assert re.search(r"^ExecReload=/bin/kill -HUP \$MAINPID$", text, re.MULTILINE)
    assert re.search("^Type=notify$", text, re.MULTILINE)


def test_everybody_waits_for_the_drain(units):
    """Whoever stops a server kills it only after all that it may wait for."""
    text = (units / "openholder.service").read_text()
    (systemd,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["openholder"]["stop_grace_period"]
    pod = find_manifest("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    delays = [tomllib.loads(text)["listen"]["drain_delay"] for text in (CONFIGURATION, MAPPED)]
    for patience in (int(systemd), int(compose.removesuffix("s")), pod):
        assert patience >= DRAIN + IDLE_GRACE + max(delays) + 10


def test_everybody_waits_for_the_start(units):
    """Whoever starts a server kills it only after a source may have taken its time."""
    (systemd,) = re.findall(r"^TimeoutStartSec=(\d+)$", (units / "openholder.service").read_text(), re.MULTILINE)
    probe = find_manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    (docker,) = re.findall(r"--start-period=(\d+)s", instructions("HEALTHCHECK")[0])
    for patience in (int(systemd), probe["periodSeconds"] * probe["failureThreshold"], int(docker)):
        assert patience >= OPEN_TIMEOUT + 20


# -- containers -------------------------------------------------------------------------------------------------------

DOCKERFILE = re.sub(r"\\\n", " ", re.sub(r"^ *#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
CONFIGURATION = (DEPLOY / "openholder.toml").read_text()


def instructions(name):
    """The arguments of an instruction in the last stage."""
    return re.findall(rf"^{name}\s+(.+)$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)


def test_the_image_has_two_stages_and_a_plain_user():
    assert re.findall("^FROM (.+)$", DOCKERFILE, re.MULTILINE) == ["python:3.13-slim AS build", "python:3.13-slim"]
    assert instructions("USER") == [f"{USER}:{USER}"]
    assert instructions("ENTRYPOINT") == ['["openholder"]']
    assert instructions("CMD") == ['["serve"]']
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert "/ready" in instructions("HEALTHCHECK")[0]
    assert not re.search(r"\b(ADD|curl|wget|sudo)\b", DOCKERFILE)


@pytest.mark.checkout
def test_the_image_installs_only_what_is_locked():
    installs = re.findall(r"pip --python \S+ install (.+?)(?:;|$|&&)", DOCKERFILE, re.MULTILINE)
    assert len(installs) == 4
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert locks == {"production", *(path.parent.name.removeprefix("openholder_") for path in PLUGINS)}


PLUGINS = sorted((ROOT / "plugins").glob("*/setup.cfg"))


@pytest.mark.checkout
def test_what_the_image_is_built_from_is_not_ignored():
    kept = set(re.findall("^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    needed = {"conf", "core", "plugins", "requirements", "LICENSE", "README.md", "pyproject.toml", "setup.cfg"}
    assert kept == needed
    assert all((ROOT / name).exists() for name in kept)


def test_the_configuration_of_the_container_loads(tmp_path):
    check_configuration(tmp_path, CONFIGURATION)


def check_configuration(folder, text):
    """Load a configuration with the files that containers have at these places."""
    sample.write_sqlite(folder / "bank.db")
    for name in re.findall(r'"/run/secrets/(?:openholder/)?([\w-]+)"', text):
        (folder / name).write_text("redis://redis:6379/0")
    text = re.sub(r'"(?:/run/secrets(?:/openholder)?|/srv/openholder)/([\w.-]+)"', rf'"{folder}/\1"', text)
    (folder / "openholder.toml").write_text(text)
    settings = Configuration.load(folder / "openholder.toml").settings
    assert settings.replay.store == "redis"
    assert settings.log.pseudonym_key
    assert settings.listen.trusted_proxies


def test_the_services_of_compose_may_do_little():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert compose["services"]["openholder"]["user"] == f"{USER}:{USER}"
    assert compose["services"]["openholder"]["ports"] == ["127.0.0.1:8443:8443"]
    assert compose["networks"]["internal"] == {"internal": True}
    redis = compose["services"]["redis"]
    assert redis["networks"] == ["internal"]
    assert "ports" not in redis
    # Without a password, Redis otherwise refuses whoever is not on its own machine.
    assert redis["command"][-2:] == ["--protected-mode", "no"]


# -- Kubernetes -------------------------------------------------------------------------------------------------------

MANIFESTS = [
    manifest
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
]


def find_manifest(kind):
    (found,) = (manifest for manifest in MANIFESTS if manifest["kind"] == kind)
    return found


MAPPED = find_manifest("ConfigMap")["data"]["openholder.toml"]


def test_the_manifests_are_about_one_thing():
    kinds = {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"}
    assert {manifest["kind"] for manifest in MANIFESTS} == kinds
    label = {"app.kubernetes.io/name": "openholder"}
    assert all(manifest["metadata"] == {"name": "openholder", "labels": label} for manifest in MANIFESTS)
    selectors = [find_manifest("Service")["spec"]["selector"]]
    selectors += [
        find_manifest(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")
    ]
    selectors += [find_manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    assert selectors == [label] * 4


def test_a_pod_may_do_little():
    pod = find_manifest("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER}.items()
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "env" not in container  # secrets are files
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["secrets"] == "/run/secrets/openholder"
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/live", "/live", "/ready"]


def test_the_configuration_of_the_pod_loads(tmp_path):
    (tmp_path / "cursor-key").write_text("k")
    check_configuration(tmp_path, MAPPED)


def test_the_guide_names_the_secrets_of_the_pod():
    named = set(re.findall(r"/run/secrets/openholder/([\w-]+)", MAPPED))
    guide = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--from-file=([\w-]+)=", guide)) == named
