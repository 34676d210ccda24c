"""Write docs/operations.md from the tables of metrics, log fields and alerts: `make pages` does."""

from __future__ import annotations

import re
from importlib.resources import files

from openholder.serving.log_fields import LOG_FIELDS
from openholder.serving.metrics import METRICS

ALERTS = files("openholder.conf") / "alerts.yml"
INTRODUCTION = """\
# Metrics, alerts and log

What a running server shows, what it means, and what to do. The tables are written from the program
(`make pages`), so nothing is missing here.

- **Metrics:** `http://127.0.0.1:9443/metrics`, for Prometheus. The admin listener of each worker
  answers for all of them, so scrape one: `listen.admin_port`. Counters survive the end of a worker;
  one that is killed loses at most its last quarter of a second.
- **Console:** [one page](console.md) at the root of the same address, for people.
- **Log:** one line of JSON for each event, on standard output. A customer has the pseudonym that
  `openholder pseudonym ID` prints.
- **Audit trail:** who got what, and what was refused: [how to set it
  up](configuration.md#audit-trail).
- **Reasons:** the label `reason` and the field `error_reason` have the same words.
  [Troubleshooting](troubleshooting.md) explains each of them, and the fix.

`conf/alerts.yml` has the alerts below for Prometheus. `conf/dashboard.json` is a dashboard for
Grafana with all of the metrics. Both are installed with the package, in `openholder.conf`.
"""
METRICS_HEADING = """\
## Metrics

A counter has `_total` at the end of its name. A histogram has `_bucket`, `_count` and `_sum`. The
buckets of `openholder_http_request_seconds` have the response times of the CDS performance tiers
(1, 1.5, 4 and 6 seconds), and 30 % and 50 % of the first two: Fiskil needs the rest.

| metric | labels | meaning | what to do |
|---|---|---|---|
"""
ALERTS_HEADING = """\
## Alerts

`page` wakes somebody; `warn` waits for the morning.

| alert | severity | what has happened | what to do |
|---|---|---|---|
"""
FIELDS_HEADING = """\
## Fields of the log

| field | in lines | meaning | example |
|---|---|---|---|
"""


def format_page() -> str:
    """Format the page in Markdown."""
    metrics = "".join(
        f"| `{metric.series[0] if metric.kind == 'counter' else metric.name}`"
        f" | {', '.join(f'`{label}`' for label in metric.labels) or '-'} | {metric.meaning} | {metric.advice} |\n"
        for metric in METRICS
    )
    alerts = "".join(
        f"| `{alert['alert']}` | {alert['severity']} | {alert['summary']} | {alert['action']} |\n"
        for alert in read_alerts()
    )
    fields = "".join(
        f"| `{field.name}` | {field.lines} | {field.meaning} | `{field.example}` |\n" for field in LOG_FIELDS
    )
    parts = (INTRODUCTION, METRICS_HEADING + metrics, ALERTS_HEADING + alerts, FIELDS_HEADING + fields)
    return "\n".join(parts)


def read_alerts() -> list[dict[str, str]]:
    """Read name, severity, summary and action of each alert; a placeholder becomes its label's name."""
    found = []
    for text in ALERTS.read_text(encoding="utf-8").split("- alert: ")[1:]:
        alert = {"alert": text.partition("\n")[0]}
        for name in ("severity", "summary", "action"):
            (value,) = re.findall(rf"{name}: ([^}}\n]*(?:\}}\}}[^}}\n]*)*)", text)
            value = re.sub(r"\{\{ \$(?:labels\.)?(\w+) \}\}", r"*\1*", value.strip().strip('"'))
            alert[name] = value
        found.append(alert)
    return found


if __name__ == "__main__":
    print(format_page(), end="")  # noqa: T201
