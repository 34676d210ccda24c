"""The demo: rehearsed as any server is, found healthy, and lines to paste that work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from operator import itemgetter
from pathlib import Path

import pytest

from helpers.console import NUMBER
from helpers.processes import COMMAND, PATIENCE, openholder
from openholder.cli.demo import SAMPLE_REQUESTS
from openholder.contract.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.subprocess]


def test_the_demo_passes_its_rehearsal_and_leaves_no_files(tmp_path):
    ended = openholder("demo", "--check", cwd=tmp_path, patience=100)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("Ready to go live")
    assert f"\n{len(OPERATIONS)} of {len(OPERATIONS)} operations answered with data\n" in ended.stdout
    assert not re.search("^(CRITICAL|ERROR|WARNING) ", ended.stdout, re.MULTILINE)
    # A busy machine may hold the loop for half a second, which the log reports.
    logged = [line for line in ended.stderr.splitlines() if "event loop blocked" not in line]
    assert (list(tmp_path.iterdir()), logged) == ([], [])


def test_the_lines_of_the_demo_work_as_pasted(tmp_path):
    """`--open` opens the page with what BROWSER names: here with curl, which is at hand."""
    process = subprocess.Popen(
        [*COMMAND, "demo", "--open"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BROWSER": "curl -sS -o opened.html %s"},
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    pasted = [line.strip() for line in lines if line.startswith("  curl ")]
    answers = [json.loads(subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout) for line in pasted]
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "opened.html").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(2)
    _, log = process.communicate(timeout=PATIENCE)
    *good, refused = answers
    assert (process.returncode, len(good)) == (0, len(SAMPLE_REQUESTS))
    assert [answer for answer in good if "errors" in answer] == []
    assert {name for answer in good for name in answer} >= {"data", "accounts", "links", "page"}
    assert refused["errors"]
    assert "Stand-in for Fiskil" in (tmp_path / "opened.html").read_text(encoding="utf-8")
    assert log.count('"event": "request"') == len(SAMPLE_REQUESTS) + 1
    assert lines[0] == "Ready to go live\n"
    assert (len(lines) < 30, max(map(len, lines)) <= 110) == (True, True)
    assert "eyJ" not in "".join(lines)
    # The recording is of this demo: only numbers differ, and on a terminal there are colours and progress.
    recorded = re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", "".join(map(itemgetter(2), read_recording())))
    assert NUMBER.sub("0", recorded).endswith(NUMBER.sub("0", "".join(lines)))


def read_recording():
    """The events of the recording in the documents, which is an asciicast 2."""
    header, *events = map(json.loads, (ROOT / "docs/pictures/demo.cast").read_text(encoding="utf-8").splitlines())
    assert (header["version"], header["width"]) == (2, 110)
    return events
