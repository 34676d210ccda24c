"""The reports of a rehearsal: what they say, what they never say, and that hostile texts stay texts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.baseline import accept_known, load_baseline
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.masking import build_mask
from openholder.rehearsal.measures import LoadResult, Measure, Second, Timing
from openholder.rehearsal.preparation import UnusableOption, choose_only
from openholder.rehearsal.report.html import render_html
from openholder.rehearsal.report.json import render_json
from openholder.rehearsal.report.junit import render_junit
from openholder.rehearsal.report.sarif import render_sarif
from openholder.rehearsal.report.terminal import render_text
from openholder.rehearsal.results import Report, Result, Rule, fail_rule, merge_results, pass_rule, skip_rule
from openholder.rehearsal.server_document import parse_document, select_operations
from openholder.reports.document import CSS

HOSTILE = "\"'><script>alert(1)</script><img src=https://evil.example/x>&amp;]]>\x1b[31m\x00\u202e"
SECRETS = frozenset({"jane.citizen@example.com", "cust-1001", "acc/2001"})
TOKEN = "eyJhbGciOiJQUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl"
FORMS = {
    "text": render_text,
    "coloured": lambda report: render_text(report, 80, True),
    "html": render_html,
    "junit": render_junit,
    "json": render_json,
    "sarif": render_sarif,
}
TRANSACTIONS = next(operation for operation in OPERATIONS if operation.name == "listBankingTransactions")
BALANCE, SEARCH = "GET /customer/{customerId}/accounts/{accountId}/balances", "POST /auth/v1/customer/search"


def rule(name, severity):
    return Rule(name, severity, "It is so.", "Else it hurts.", "RFC 9110 section 15", "Make it so.", "GET /x: 500")


WORST, WRONG, ODD = rule("worst", "critical"), rule("wrong", "error"), rule("odd", "warning")


def report(*results, **more):
    return Report("http://127.0.0.1:8080", 1_780_000_000.25, 12.5, merge_results(results), 42, (SEARCH,), **more)


def asked(note=""):
    return Request(method="GET", path="/", operation=OPERATIONS[0], note=note)


FULL = report(
    fail_rule(ODD, SEARCH, "200 with data", asked()),
    fail_rule(WRONG, SEARCH, "404", asked()),
    fail_rule(WRONG, BALANCE, "500", asked("the first time")),
    fail_rule(WRONG, BALANCE, "500", asked("again")),
    fail_rule(WORST, "the server", "200 with data"),
    pass_rule(rule("kept", "error"), SEARCH),
    skip_rule(rule("unseen", "error"), SEARCH, "nothing was there"),
    timings=(Timing(SEARCH, (0.010, 0.020, 1.5)), Timing(BALANCE, (0.002,))),
    options=(("Attacks", "included"),),
    load=LoadResult(
        rate=50,
        reached=49.9,
        sent=100,
        good=98,
        deferred=1,
        refused=0,
        failed=1,
        unsent=0,
        lag=0.001,
        measures=(Measure.of(BALANCE, [0.01, 0.02]),),
        timeline=(Second(0.02, 49), Second(0.03, 49)),
    ),
)


class Reader(HTMLParser):
    """What elements there are, and where they lead."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.links, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "action", "data", "style")]
        self.open += [] if tag in ("meta", "wbr") else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_verdict_is_first_and_counts_rules_not_answers():
    assert render_text(FULL).splitlines()[0] == "Not ready: 1 critical, 1 error, 1 warning"
    assert render_text(report(pass_rule(WORST, SEARCH))).splitlines()[0] == "Ready to go live"
    assert render_text(report(fail_rule(ODD, SEARCH, "404"))).splitlines()[0] == "Ready to go live: 1 warning"


def test_findings_are_reported_worst_first_with_all_details():
    lines = render_text(FULL, 100).splitlines()
    heads = [line for line in lines if line.startswith(("CRITICAL", "ERROR", "WARNING"))]
    assert heads == ["CRITICAL It is so.", "ERROR It is so.", "WARNING It is so."]
    assert lines[lines.index(heads[1]) + 1 :][:14] == [
        "    Rule        wrong (3 times)",
        f"  {BALANCE} (2 times)",
        f"  {SEARCH}",
        f"    Request     {SEARCH}",
        "    Response    404",
        f"    Request     {SEARCH} (the first time)",
        "    Response    500",
        f"    Request     {SEARCH} (again)",
        "    Response    500",
        "    Why         Else it hurts.",
        "    Reference   RFC 9110 section 15",
        "    How to fix  Make it so.",
        "",
        "WARNING It is so.",
    ]
    assert "  nothing was there: unseen" in lines
    assert f"too slow: {SEARCH}" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 110])
def test_text_keeps_to_the_width_of_the_terminal(width):
    lines = render_text(FULL, width).splitlines()
    assert max(map(len, lines)) <= max(width, len(f"  {BALANCE}"))
    assert [line for line in lines if len(line) > width and " " in line.strip().removeprefix("GET ")] == []


def test_colour_is_only_there_where_it_is_asked_for():
    assert "\x1b" not in render_text(FULL, 80)
    assert re.sub(r"\x1b\[[0-9;]+m", "", render_text(FULL, 80, True)) == render_text(FULL, 80)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [*sorted(SECRETS), "JANE.Citizen@Example.com", "acc%2F2001", TOKEN])
def test_whatever_is_somebodys_is_masked_in_every_form(form, secret):
    leaking = report(
        fail_rule(WRONG, f"subject {secret}", f"came {secret}", asked(f"note {secret}")),
        skip_rule(WORST, SEARCH, f"skipped {secret}"),
        options=(("option", secret),),
        secrets=SECRETS,
    )
    accept_known(leaking, [])
    leaking.results = [*leaking.results, Result(WRONG, f"known {secret}", known=leaking.results[0].failures)]
    leaking.target = f"https://user:{secret}@bank.example/{secret}?token={secret}"
    told = FORMS[form](leaking)
    assert "…" in told
    assert secret.lower() not in told.lower()


def test_values_of_three_characters_are_not_masked():
    """And a report without values to mask is left as it is."""
    assert build_mask({"200", ""})("200 with data") == "200 with data"
    assert build_mask({"abc", "abcd", "abcdef"})("abcdefg abcd") == "…g …"


@pytest.mark.parametrize("form", FORMS)
def test_hostile_texts_stay_texts(form):
    result = fail_rule(replace(WRONG, how_to_fix=HOSTILE[:-3]), HOSTILE, HOSTILE, asked(HOSTILE))
    measure = Measure.of(HOSTILE, [0.1])
    load = replace(FULL.load, measures=(measure,))
    hostile = report(
        result,
        skip_rule(ODD, HOSTILE, HOSTILE),
        timings=(Timing(HOSTILE, (0.1,)),),
        load=load,
        options=((HOSTILE[:9], HOSTILE),),
    )
    told = FORMS[form](hostile)
    assert "\x00" not in told
    assert "\u202e" not in told
    if form in ("html", "junit"):
        assert "<script" not in told
        assert "<img" not in told


def test_the_page_is_whole_and_refers_to_nothing():
    page = render_html(FULL)
    reader = Reader(page)
    assert reader.open == []
    assert reader.links == []
    assert re.findall(r"url\(|@import|https?://(?!127\.0\.0\.1:8080)", page) == []
    assert {"header", "main", "footer", "h1", "h2", "svg", "caption", "details"} <= set(reader.tags)
    assert "script" not in reader.tags
    assert "default-src 'none'" in page
    assert 'name="viewport"' in page
    assert all(f'scope="{scope}"' in page for scope in ("row", "col"))


def test_the_page_of_an_empty_report_says_that_nothing_was_found():
    page = render_html(report())
    assert Reader(page).open == []
    assert "No rule was broken." in page


def luminance(colour):
    """The relative luminance of WCAG 2.2."""
    colour = colour if len(colour) == 7 else "#" + "".join(digit * 2 for digit in colour[1:])
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_texts_of_the_page_can_be_read(scheme):
    blocks = re.findall(r":root \{([^}]*)\}", CSS)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]+)", blocks[scheme]))
    for name in ("ink", "soft", "critical", "error", "warning", "good"):
        for ground in ("page", "card", "tint"):
            low, high = sorted(luminance(colours[each]) for each in (name, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_the_plot_has_a_row_for_each_operation_with_its_limit():
    page = render_html(FULL)
    assert page.count('class="limit"') == 2
    assert page.count('<g class="conversation">') == 2
    assert page.count('<g class="load">') == 1
    assert "p95 1500 ms" in page
    assert page.count("too slow") == 1


def test_junit_has_a_suite_per_operation_and_passes_warnings():
    root = ElementTree.fromstring(render_junit(FULL).encode())
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "6", "3")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == [SEARCH, BALANCE, "the server"]
    cases = {case.get("name"): [child.tag for child in case] for case in suites[SEARCH].iter("testcase")}
    assert cases == {"odd": ["system-out"], "wrong": ["failure"], "kept": [], "unseen": ["skipped"]}
    failure = suites["the server"].find("testcase/failure")
    assert (failure.get("type"), failure.get("message")) == ("critical", "It is so.")
    assert "How to fix: Make it so." in failure.text


JUNIT = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "timestamp", "time"},
        {"properties", "testcase"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"skipped", "failure", "system-out"}),
    "skipped": ({"message"}, set()),
    "failure": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
"""The attributes and children of each element, of those that the Jenkins xUnit schema has."""


@pytest.mark.parametrize("has_baseline", [False, True])
def test_junit_has_the_elements_of_its_schema(tmp_path, has_baseline):
    root = ElementTree.fromstring(render_junit(compare(tmp_path) if has_baseline else FULL).encode())
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        assert set(element.keys()) == attributes
        assert {child.tag for child in element} <= children
    for suite in root:
        assert [child.tag for child in suite][:1] == ["properties"]
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))


def test_json_has_the_shape_that_its_module_describes():
    told = json.loads(render_json(FULL))
    assert (told["version"], told["good"], told["started"]) == (1, False, "2026-05-28T20:26:40+00:00")
    assert told["broken"] == {"critical": 1, "error": 1, "warning": 1}
    assert [finding["rule"] for finding in told["findings"]] == ["worst", "wrong", "odd"]
    assert told["findings"][1]["places"] == [{"subject": BALANCE, "times": 2}, {"subject": SEARCH, "times": 1}]
    assert {result["rule"] for result in told["outcomes"]} == set(told["rules"])
    assert [row["reason"] for row in told["outcomes"] if row["verdict"] == "skipped"] == ["nothing was there"]
    assert told["timings"][0] | {"p95": 1.5, "limit": 1.0} == told["timings"][0]
    assert told["load"]["timeline"][1] == {"p95": 0.03, "answered": 49}
    documented = set(
        re.findall(r"^    (\w+) ", __import__(render_json.__module__, fromlist=["json"]).__doc__, re.MULTILINE)
    )
    assert documented == set(told)


def test_sarif_has_the_members_that_the_standard_requires():
    """SARIF 2.1.0, sections 3.13 (log), 3.14 (run), 3.27 (result) and 3.49 (rule)."""
    told = json.loads(render_sarif(FULL))
    (run,) = told["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert (told["version"], run["tool"]["driver"]["name"]) == ("2.1.0", "openholder")
    assert len(run["results"]) == 5
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"].startswith("It is so. ")
        assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] in (SEARCH, BALANCE, "the server")
    assert run["invocations"] == [{"executionSuccessful": True, "startTimeUtc": "2026-05-28T20:26:40Z"}]


def request(query="", note=""):
    """A request for a page of transactions."""
    return Request(method="GET", path="/", query=query, note=note, operation=TRANSACTIONS)


def read_baseline(folder, *results, **more):
    """The baseline that the report of these results is."""
    (folder / "known.json").write_text(render_json(report(*results, **more)), encoding="utf-8")
    return load_baseline(folder / "known.json")


FILTERED = "oldest-time: 95 records, expected 48: 47 too many, 0 missing"


@pytest.mark.parametrize(
    ("before", "now", "is_known"),
    [
        # What changes from run to run.
        (("404", request()), ("404", request()), True),
        ((FILTERED, request()), (FILTERED.replace("9", "3"), request()), True),
        (("404", request("page-size=8")), ("404", request("page=3&page-size=8")), True),
        (("404", request("limit=8")), ("404", request("limit=8&pageKey=c2")), True),
        (("404", request("oldest-time=2026-01-01")), ("404", request("oldest-time=2025-07-30")), True),
        (("404", None), ("404", None), True),
        # Another cause.
        (("404", request()), ("500", request()), False),
        (("$.data.balance: null", request()), ("$.data.amount: null", request()), False),
        (("$.data.line1: null", request()), ("$.data.line2: null", request()), False),
        ((FILTERED, request()), (FILTERED.replace("oldest", "newest"), request()), False),
        (("404", request()), ("404", request(note="another customer's accountId")), False),
        (("404", request("oldest-time=2026-01-01")), ("404", request("text=x")), False),
        (("200 with data", request("page=2")), ("200 with data", request("page=0")), False),
    ],
)
def test_a_failure_is_known_if_the_baseline_has_its_cause(tmp_path, before, now, is_known):
    known = read_baseline(tmp_path, fail_rule(WRONG, SEARCH, *before))
    again = report(fail_rule(WRONG, SEARCH, *now))
    accept_known(again, known)
    assert [result.verdict for result in again.results] == ["skipped" if is_known else "failed"]
    assert again.is_ready == is_known


def test_only_the_same_rule_and_operation_are_known(tmp_path):
    known = read_baseline(tmp_path, fail_rule(WRONG, SEARCH, "404"))
    again = report(fail_rule(WRONG, BALANCE, "404"), fail_rule(WORST, SEARCH, "404"), fail_rule(WRONG, SEARCH, "404"))
    accept_known(again, known)
    assert [result.verdict for result in again.results] == ["failed", "failed", "skipped"]


def test_entries_that_were_checked_and_not_found_are_stale(tmp_path):
    before = [fail_rule(rule, subject, "404") for rule in (WRONG, ODD, WORST) for subject in (SEARCH, BALANCE)]
    known = read_baseline(tmp_path, *before)
    again = report(pass_rule(WRONG, SEARCH), fail_rule(WRONG, BALANCE, "500"), skip_rule(ODD, SEARCH, "x"), *before[5:])
    accept_known(again, known)
    assert [tuple(entry) for entry in again.comparison.stale] == [("wrong", BALANCE, "404"), ("wrong", SEARCH, "404")]
    assert again.comparison.unchecked == 3


def test_a_report_with_a_baseline_is_the_next_baseline(tmp_path):
    """So that CI can keep the newest report, and a fault stays known."""
    known = read_baseline(tmp_path, fail_rule(WRONG, SEARCH, "404", request()))
    again = report(fail_rule(WRONG, SEARCH, "404", request()), fail_rule(ODD, SEARCH, "500", request()))
    accept_known(again, known)
    (tmp_path / "next.json").write_text(render_json(again), encoding="utf-8")
    assert {entry.rule for entry in load_baseline(tmp_path / "next.json")} == {"wrong", "odd"}


def test_a_baseline_of_version_0_2_0_accepts_every_cause(tmp_path):
    row = {"rule": WRONG.name, "subject": SEARCH, "verdict": "found", "times": 1}
    (tmp_path / "old.json").write_text(json.dumps({"outcomes": [row]}), encoding="utf-8")
    again = report(fail_rule(WRONG, SEARCH, "500"))
    accept_known(again, load_baseline(tmp_path / "old.json"))
    assert [result.verdict for result in again.results] == ["skipped"]
    assert again.comparison.stale == ()


def compare(folder):
    """A report with a failure that is known, one that is new, and an entry that is stale."""
    known = read_baseline(folder, *(fail_rule(WRONG, SEARCH, text, request()) for text in ("404", "410")))
    again = report(fail_rule(WRONG, SEARCH, "404", request()), fail_rule(WRONG, SEARCH, "500", request()))
    accept_known(again, known)
    return again


def test_the_text_and_the_page_have_sections_for_a_baseline(tmp_path):
    told = render_text(compare(tmp_path), 200)
    assert told.splitlines()[0] == "Not ready: 1 error, 1 known"
    assert f"Known: in the baseline\n  ERROR wrong (once)\n                {SEARCH}\n" in told
    assert f"No longer found: take these out of the baseline\n  wrong: {SEARCH}: 410\n" in told
    assert "    Response    500" in told
    assert "    Response    404" not in told
    page = render_html(compare(tmp_path))
    assert Reader(page).open == []
    for heading in ("Known: in the baseline", "No longer found: take these out of the baseline"):
        assert f"<h2>{heading}</h2>" in page


def test_files_for_ci_tell_new_from_known(tmp_path):
    compared = compare(tmp_path)
    told = json.loads(render_json(compared))
    assert [row["causes"] for row in told["outcomes"]] == [["500"]]
    (known,) = told["baseline"]["known"]
    assert (known["rule"], known["times"], known["causes"]) == ("wrong", 1, ["404"])
    assert told["baseline"]["stale"] == [{"rule": "wrong", "subject": SEARCH, "cause": "410"}]
    results = json.loads(render_sarif(compared))["runs"][0]["results"]
    assert [result["baselineState"] for result in results] == ["new", "unchanged", "absent"]
    assert [len(result.get("suppressions", ())) for result in results] == [0, 1, 0]
    root = ElementTree.fromstring(render_junit(compared).encode())
    assert (root.get("tests"), root.get("failures"), len(root.findall("testsuite/testcase/skipped"))) == ("3", "1", 1)
    assert [suite.get("name") for suite in root] == [SEARCH, "baseline: known", "baseline: no longer found"]
    assert root.find("testsuite/testcase/skipped").get("message") == "known: in the baseline"


@pytest.mark.parametrize("content", ["", "[]", '{"outcomes": 1}', '{"outcomes": [{"rule": "x"}]}'])
def test_what_is_no_report_is_no_baseline(tmp_path, content):
    (tmp_path / "known.json").write_text(content, encoding="utf-8")
    with pytest.raises(UnusableOption, match="not a report of --json"):
        load_baseline(tmp_path / "known.json")


def test_one_operation_is_rehearsed_with_what_it_needs():
    chosen = {operation.name for operation in choose_only(OPERATIONS, ["getPayee"])}
    assert chosen >= {"searchCustomers", "listConsentAccounts", "listPayees", "getPayee"}
    assert "listBankingTransactions" not in chosen
    with pytest.raises(UnusableOption, match="did you mean getPayee"):
        choose_only(OPERATIONS, ["getPayees"])


# -- what a server's OpenAPI document says -------------------------------------------------------------------------


def document(path, schema=None, **more):
    schema = {"200": {"content": {"application/json": {"schema": schema or {}}}}}
    return {"paths": {path: {"get": {"responses": schema, **more}}}}


PAYSLIP = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}


def test_known_paths_are_found_whatever_their_ids_are_called():
    (operation,) = select_operations(document("/customer/{id}/accounts/{account-id}/balances"))
    assert operation.name == "getStarterBalance"


def test_a_custom_endpoint_is_checked_against_its_schema():
    schema = {"properties": {"data": {"type": "array", "items": {"$ref": "#/components/Payslip"}}}}
    written = document("/v1/customer/{customerId}/payslips", schema) | {"components": {"Payslip": PAYSLIP}}
    (operation,) = select_operations(written)
    assert (operation.sector, operation.reply.envelope, operation.reply.many) == ("custom", ("data",), True)
    assert operation.record.find_misfit({"id": "1"}) is None
    assert operation.record.find_misfit({}) == "required"


@pytest.mark.parametrize("path", ["/v1/rates", "/v1/customer/{customerId}/x/{itemId}", "/v1/customer/{customerId}/<x>"])
def test_what_cannot_be_asked_is_left_out(path):
    assert select_operations(document(path)) == ()


def test_what_demands_a_parameter_is_left_out():
    demand = [{"name": "year", "in": "query", "required": True}]
    assert select_operations(document("/v1/customer/{customerId}/x", parameters=demand)) == ()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"paths": []}', b"openapi: 3.1.0"])
def test_what_is_no_document_is_refused(content):
    with pytest.raises(ValueError, match="not an OpenAPI document"):
        parse_document(content)


@pytest.mark.parametrize("schema", [{"$ref": "#/paths"}, {"$ref": "#/nowhere"}, {"type": 7}, [], 1, {"properties": 1}])
def test_odd_schemas_describe_nothing(schema):
    (operation,) = select_operations(document("/v1/customer/{customerId}/x", schema))
    assert operation.record.find_misfit({"anything": 1}) is None
