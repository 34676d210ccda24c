"""docs/operations.md, the alerts and the dashboard agree with what the program measures and logs."""

from __future__ import annotations

import ast
import inspect
import json
import re
import runpy
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from openholder.server import logs
from openholder.serving import journal
from openholder.serving.log_fields import LOG_FIELDS
from openholder.serving.metrics import METRICS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")
ALERTS = (files("openholder.conf") / "alerts.yml").read_text(encoding="utf-8")
DASHBOARD = json.loads((files("openholder.conf") / "dashboard.json").read_text(encoding="utf-8"))
SERIES = {series for metric in METRICS for series in metric.series}
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def find_names(text):
    return set(re.findall(r"\bopenholder_\w+", text))


def test_the_page_is_that_of_the_program():
    """If this fails: `make pages`."""
    assert runpy.run_path(str(DOCS / "operations_page.py"))["format_page"]() == PAGE


def test_alerts_and_dashboard_ask_for_metrics_that_exist():
    queries = re.sub(r"annotations:.*?(?=- alert|\Z)", "", ALERTS, flags=re.DOTALL)
    assert find_names(queries) and EXPRESSIONS
    assert find_names(queries) - SERIES == set()
    assert find_names(" ".join(EXPRESSIONS)) - SERIES == set()
    assert find_names(json.dumps(DASHBOARD["templating"])) <= SERIES


def test_the_dashboard_shows_every_metric():
    asked = find_names(" ".join(EXPRESSIONS))
    assert [metric.name for metric in METRICS if not asked & set(metric.series)] == []


def test_each_label_that_is_asked_for_is_one_of_its_metric():
    labels = {series: {*metric.labels, "instance", "job", "le"} for metric in METRICS for series in metric.series}
    for name, selector in re.findall(r"(openholder_\w+)\{([^}]*)\}", ALERTS + " ".join(EXPRESSIONS)):
        assert set(re.findall(r"(\w+)=", selector)) <= labels[name], name


def test_every_field_of_the_log_is_in_the_table():
    written = set()
    for module in (journal, logs):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                written |= {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
            elif isinstance(node, ast.Dict):
                written |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "warning":
                written |= {keyword.arg for keyword in node.keywords}
    written.remove("exc_info")  # it becomes `error`
    assert written == {field.name for field in LOG_FIELDS}


@promtool
@pytest.mark.subprocess
def test_promtool_reads_alerts_and_queries_of_the_dashboard(tmp_path):
    rules = ["groups:", "- name: dashboard", "  rules:"]
    for number, expression in enumerate(EXPRESSIONS):
        query = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
        rules += [f"  - record: panel:{number}", f"    expr: {json.dumps(query)}"]
    (tmp_path / "alerts.yml").write_text(ALERTS)
    (tmp_path / "dashboard.yml").write_text("\n".join(rules) + "\n")
    checked = subprocess.run(
        ["promtool", "check", "rules", "alerts.yml", "dashboard.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


FIRES = {
    "OpenholderErrors": {
        'openholder_http_requests_total{instance="a",status="500"}': "0+1x60",
        'openholder_http_requests_total{instance="a",status="200"}': "0+99x60",
    },
    "OpenholderSlow": {
        'openholder_http_request_seconds_bucket{instance="a",route="/r",le="0.5"}': "0+1x90",
        'openholder_http_request_seconds_bucket{instance="a",route="/r",le="1.0"}': "0+10x90",
        'openholder_http_request_seconds_bucket{instance="a",route="/r",le="+Inf"}': "0+10x90",
        'openholder_route_limit_seconds{instance="a",route="/r"}': "1x90",
    },
    "OpenholderNothingAdmitted": {
        'openholder_tokens_total{instance="a",kid="k"}': "5x60",
        'openholder_http_refusals_total{instance="a",reason="key_unknown"}': "0+10x60",
    },
    "OpenholderForeignRecord": {
        'openholder_http_refusals_total{instance="a",reason="foreign_record"}': "0x58 1x2",
    },
    "OpenholderNotRecorded": {
        'openholder_observer_failures_total{instance="a",observer="o",hook="record_answer"}': "0x58 1x2",
    },
    "OpenholderKeysStale": {'openholder_jwks_age_seconds{instance="a"}': "9000x60"},
    "OpenholderWorkersMissing": {
        'openholder_workers{instance="a"}': "1x60",
        'openholder_workers_configured{instance="a"}': "2x60",
    },
    "OpenholderWorkerHangs": {'openholder_heartbeat_timestamp_seconds{instance="a"}': "10x60"},
    "OpenholderTwoConfigurations": {
        'openholder_configuration_info{instance="a",digest="1"}': "1x60",
        'openholder_configuration_info{instance="a",digest="2"}': "1x60",
        'openholder_configuration_info{instance="a",digest="3"}': "0x60",
    },
    "OpenholderReloadRefused": {'openholder_reloads_total{instance="a",result="refused"}': "0x55 1x5"},
}
"""For some alerts, the series that make them fire after an hour; the others are of the same forms."""


@promtool
@pytest.mark.subprocess
def test_alerts_fire_when_they_should(tmp_path):
    (tmp_path / "alerts.yml").write_text(ALERTS)
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in data.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": "60m",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }
        for name, data in FIRES.items()
    ]
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": tests}))  # JSON is YAML
    tested = subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout + tested.stderr
