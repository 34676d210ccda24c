"""What surrounds the code is in order: the steps of CI, the locked dependencies, the changelog, the documents."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.checkout

WORKFLOWS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml")}
CI_RUN = (ROOT / ".ci/run").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = {
    target for line in re.findall(r"^([a-z][\w $()-]*):(?!=)", MAKEFILE, re.MULTILINE) for target in line.split()
}
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def made(text: str) -> set[str]:
    """The targets that a text makes."""
    commands = re.findall(r"^\s*(?:- run: |\$ )?make ([^#\n]+)", text, re.MULTILINE)
    return {word for command in commands for word in command.split() if re.fullmatch(r"[a-z][a-z-]*", word)}


def test_every_step_of_ci_is_a_target_of_the_makefile():
    assert len(WORKFLOWS) >= 3
    pages = [path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")]
    texts = [CI_RUN, *WORKFLOWS.values(), *pages]
    assert made(CI_RUN) >= {"check", "wheels", "test-wheels"}
    assert set().union(*map(made, texts)) - TARGETS == set()


def test_the_workflows_do_what_ci_run_does():
    assert made(CI_RUN) - made(WORKFLOWS["ci.yml"]) == set()


def test_the_workflows_test_each_supported_version_of_python():
    prefix = "Programming Language :: Python :: 3."
    classified = [line.strip() for line in SETUP["metadata"]["classifiers"].splitlines()]
    supported = [line.removeprefix("Programming Language :: Python :: ") for line in classified if prefix in line]
    (matrix,) = re.findall(r"python: \[(.+)\]", WORKFLOWS["ci.yml"])
    assert re.findall(r'"(3\.\d+)"', matrix) == supported
    assert SETUP["options"]["python_requires"] == f">={supported[0]}"


def test_actions_are_pinned_by_commit():
    used = [line for text in WORKFLOWS.values() for line in re.findall(r"uses: (.+)", text)]
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_the_contributing_page_names_files_that_exist():
    """Paths with a placeholder are left out, and so is what an environment has."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    paths = re.findall(r"(?<![\w./-])((?:core|plugins|tests|docs)/[\w./-]++)(?!<)", prose)
    assert len(set(paths)) > 20
    assert [path for path in paths if not path.endswith("_") and not (ROOT / path.rstrip(".")).exists()] == []
    for test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
        assert f"def {test[1]}(" in (ROOT / test[0]).read_text(encoding="utf-8")


# -- the lock file ------------------------------------------------------------------------------------------------

LOCK = (ROOT / "requirements/production.txt").read_text(encoding="utf-8")
LOCKED = {
    canonicalize_name(name): (version, block)
    for name, version, block in re.findall(r"^([\w.-]+)==([^\s;]+)(.*?)(?=^\S|\Z)", LOCK, re.MULTILINE | re.DOTALL)
}


def test_each_requirement_is_locked_to_a_version_that_it_allows():
    """If this fails after a change of setup.cfg: `make lock`."""
    extras = SETUP["options.extras_require"]
    wanted = "\n".join([SETUP["options"]["install_requires"], extras["redis"], extras["fast"]]).splitlines()
    requirements = [Requirement(line) for line in filter(None, map(str.strip, wanted)) if not line.startswith("#")]
    assert len(requirements) > 10
    for requirement in requirements:
        version, _ = LOCKED[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_lock_file_has_hashes_and_no_addresses():
    assert [name for name, (_, block) in LOCKED.items() if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK


PLUGINS = sorted(ROOT.glob("plugins/*/setup.cfg"))


@pytest.mark.parametrize("setup", PLUGINS, ids=lambda path: path.parent.name)
def test_each_plugin_has_a_lock_file_with_the_same_versions(setup):
    """If this fails: `make lock`."""
    text = (ROOT / f"requirements/{setup.parent.name.removeprefix('openholder_')}.txt").read_text(encoding="utf-8")
    blocks = re.findall(r"^([\w.-]+)==([^\s;]+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    locked = {canonicalize_name(name): version for name, version, _ in blocks}
    assert all("--hash=sha256:" in block for *_, block in blocks)
    assert "://" not in text
    assert {name: locked[name] for name in set(locked) & set(LOCKED)} == {
        name: LOCKED[name][0] for name in set(locked) & set(LOCKED)
    }
    parser = configparser.ConfigParser()
    parser.read(setup, encoding="utf-8")
    for line in filter(None, parser["options"]["install_requires"].splitlines()):
        wanted = Requirement(line)
        if wanted.name != "openholder":
            assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), line


# -- the changelog ------------------------------------------------------------------------------------------------


def test_the_changelog_keeps_its_form():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "Unreleased"
    assert [title for title in releases[1:] if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title)] == []
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for release in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        found = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]


# -- the documents -----------------------------------------------------------------------------------------------

PROSE = sorted({*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")} - {ROOT / "README.md", ROOT / "CHANGELOG.md"})
MAX_LINE = 100
"""Characters."""
MAX_SENTENCE = 30
"""Words."""
ABBREVIATION = r"(?<!e\.g)(?<!i\.e)"


def read_prose(text: str) -> str:
    """Return the text without code blocks, tables, and the targets of links."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\]\([^)]*\)", "]", text)


def split_sentences(text: str) -> list[str]:
    """Split prose into sentences. A heading, an item of a list and a colon before a list end one, too."""
    paragraphs = re.split(r"\n\s*\n|\n(?= *(?:[-*]|\d+\.) )|^#+ .*$", read_prose(text), flags=re.MULTILINE)
    whole = [re.sub(r"`[^`]*`", "code", " ".join(paragraph.split())) for paragraph in paragraphs]
    return [sentence for part in whole for sentence in re.split(rf"{ABBREVIATION}[.!?;:](?=\s|\*|$)", part)]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short(page):
    """Code in a line cannot be broken, so a line that is code alone may be longer."""
    lines = read_prose(page.read_text(encoding="utf-8")).splitlines()
    breakable = [line for line in lines if not re.fullmatch(r" *(- )?`[^`]*`[.:,]?", line)]
    assert [line for line in breakable if len(line) > MAX_LINE] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page):
    sentences = split_sentences(page.read_text(encoding="utf-8"))
    assert [sentence for sentence in sentences if len(sentence.split()) > MAX_SENTENCE] == []


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("One two. Three four five.", 3),
        ("A sentence with `code of many words` counts\nits code as one.", 9),
        ("- one two\n- three four\n  five", 4),
        ("| a table | is | left out of | this |\n\nOne.", 1),
        ("```sh\nso is code of many words\n```\n", 0),
    ],
)
def test_what_counts_as_a_sentence(text, longest):
    assert max(len(sentence.split()) for sentence in split_sentences(text)) == longest


def test_each_page_is_in_the_navigation():
    """If this fails, add `- [Title](page.md): what it is about` to docs/index.md, below the kind that it belongs to."""
    text = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[.+?\]\((?:\.\./)?([^)]+\.md)\): ", text, re.MULTILINE)
    pages = {path.name for path in ROOT.glob("docs/*.md")} | {path.name for path in ROOT.glob("*.md")}
    assert pages - set(listed) - {"README.md", "index.md"} == set()
    assert len(listed) == len(set(listed))
