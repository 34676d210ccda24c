"""Installing plugins as an operator would, and reading a configuration that names them."""

from __future__ import annotations

import pytest

from openholder.config import Configuration
from openholder.server.generation import make_sources

HEAD = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution that offers kinds: for each a class of a test, or what its entry point shall say."""

    def install(distribution, module="", **kinds):
        site = tmp_path / f"site of {distribution}"
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        values = {
            kind: value if isinstance(value, str) else f"{value.__module__}:{value.__name__}"
            for kind, value in kinds.items()
        }
        lines = "\n".join(f"{kind} = {value}" for kind, value in values.items())
        (info / "entry_points.txt").write_text(f"[openholder.plugins]\n{lines}\n")
        if module:
            (site / f"{distribution}_source.py").write_text(module)
        monkeypatch.syspath_prepend(site)

    return install


@pytest.fixture
def configured(tmp_path):
    """The sources that a configuration names."""

    def configured(tables, settings=""):
        path = tmp_path / "openholder.toml"
        path.write_text(f"{settings}\n{HEAD}{tables}", encoding="utf-8")
        return make_sources(Configuration.load(path))

    return configured
