"""The document of an HTML report: one column, system fonts, light and dark, from phones to wide screens."""

from __future__ import annotations

from openholder.reports.markup import join, tag

CSS = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #566072; --line: #d9dee6;
  --critical: #a3123a; --error: #b3400a; --warning: #7a5a00; --good: #17693c; --bar: #2f6fb5; --load: #7a4fb0;
  --tint: #eef2f7; }
@media (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1a202a; --ink: #e6eaf0; --soft: #a3aebd;
  --line: #333d4b; --critical: #ff8fa8; --error: #ffa06b; --warning: #e8c15a; --good: #6fd39a; --bar: #6fb1f2;
  --load: #c19bf0; --tint: #232b37; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 32px; }
h1 { font-size: 1rem; font-weight: 600; color: var(--soft); margin: 0; }
h2 { font-size: 1.25rem; margin: 40px 0 12px; }
h3 { font-size: 1.15rem; margin: 0 0 4px; } h3 code { font-weight: 700; }
p { margin: 0 0 8px; }
.verdict { font-size: clamp(1.5rem, 5vw, 2.1rem); font-weight: 700; line-height: 1.2; margin: 4px 0 8px; }
.good { color: var(--good); } .critical { color: var(--critical); } .error { color: var(--error); }
.warning { color: var(--warning); } .soft, footer { color: var(--soft); font-size: .9rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px; margin: 0 0 16px; }
article.card { border-left: 5px solid currentColor; } article.card > * { color: var(--ink); }
.badge { font-size: .75rem; font-weight: 700; letter-spacing: .04em; text-transform: uppercase; }
article.critical .badge { color: var(--critical); } article.error .badge { color: var(--error); }
article.warning .badge { color: var(--warning); }
code { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
dl { display: grid; grid-template-columns: minmax(0, 1fr); margin: 12px 0 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0 0 8px; }
ol.examples { list-style: none; margin: 12px 0; padding: 0; }
ol.examples li { background: var(--tint); border-radius: 6px; padding: 8px 12px; margin-bottom: 8px; }
ul { margin: 0; padding-left: 20px; }
summary { cursor: pointer; padding: 4px 0; }
.scroll { overflow-x: auto; } .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--bar); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding-bottom: 8px; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th[scope=row] { text-align: left; font-weight: 500; white-space: normal; min-width: 12em; }
th:first-child { text-align: left; } thead th { color: var(--soft); font-weight: 600; }
.plot { display: grid; grid-template-columns: minmax(0, 1fr); row-gap: 2px; }
.plot .label { padding-top: 8px; line-height: 1.3; }
.plot svg, .time svg { display: block; width: 100%; overflow: visible; }
.late { color: var(--error); font-weight: 700; }
.grid { stroke: var(--line); } .bar { stroke: var(--bar); stroke-width: 8; } .load .bar { stroke: var(--load); }
.dot { fill: var(--card); stroke: var(--bar); stroke-width: 2; } .load .dot { stroke: var(--load); }
.most { fill: var(--bar); } .load .most { fill: var(--load); }
.limit { stroke: var(--critical); stroke-width: 2; stroke-dasharray: 4 2; }
.axis { fill: var(--soft); font-size: 12px; }
.curve { fill: none; stroke: var(--load); stroke-width: 2; vector-effect: non-scaling-stroke; }
.time svg { height: 96px; border-bottom: 1px solid var(--line); overflow: hidden; } .time figure { margin: 16px 0 0; }
footer { padding: 32px 16px; }
@media (min-width: 760px) {
  dl { grid-template-columns: 9em minmax(0, 1fr); } dt { padding-top: 2px; }
  .plot { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); column-gap: 24px; align-items: center; row-gap: 6px; }
  .plot .label { padding: 0; } .plot .axes { grid-column: 2; } .time { display: grid; gap: 24px;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media print { body { background: none; } .card { break-inside: avoid; } }
"""
# The policy (CSP Level 3) forbids loading or running anything, even if a hostile text were not escaped.
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">"""


def write_document(title: str, body: str, style: str = "") -> str:
    """Write a report as one HTML document. ``body`` is markup, and ``style`` is added to the style sheet."""
    return f"{_HEAD}{join(tag('title', title))}\n<style>{CSS}{style}</style></head>\n<body>{body}</body></html>\n"
