"""The demo: rehearsed as any server is, found healthy, and lines to paste that work."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from helpers.processes import COMMAND, PATIENCE, openholder
from openholder.cli.demo import SAMPLE_REQUESTS
from openholder.contract.operations import OPERATIONS

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


def test_the_curl_lines_of_the_demo_work_as_pasted(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        if line.startswith("curl"):
            lines.append(line)
        if line.startswith("Ctrl-C"):
            break
    answers = [json.loads(subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout) for line in lines]
    process.send_signal(2)
    _, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, len(lines)) == (0, len(SAMPLE_REQUESTS))
    assert [answer for answer in answers if "errors" in answer] == []
    assert {name for answer in answers for name in answer} >= {"data", "accounts", "account_id", "links", "page"}
    assert log.count('"event": "request"') == len(SAMPLE_REQUESTS)
