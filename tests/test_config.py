"""The configuration: what loads, what overrides what, and that every mistake is named and no value is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.sources.kinds import list_kinds

GOOD = """\
public_url = "http://127.0.0.1:8443"

[fiskil]
issuer = "examplebank.cdr.fiskil.com"
jwks_url = "http://127.0.0.1:9444/jwks.json"

[sources.bank]
kind = "sqlite"
path = "bank.db"
"""

PUBLIC_URL, JWKS_URL, FISKIL, KIND, DATA = (
    '"http://127.0.0.1:8443"',
    '"http://127.0.0.1:9444/jwks.json"',
    "[fiskil]\n",
    'kind = "sqlite"\n',
    'path = "bank.db"\n',
)

API = """\
kind = "rest"
base_url = "https://api.example.com"
[sources.bank.collections]
customers = "/customers/{customerId}"
"""

CANARY = "hunter2"


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    for name in os.environ:
        if name.upper().startswith("OPENHOLDER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path):
    """A good configuration, and the one data file that it needs beside it."""
    (tmp_path / "bank.db").touch()
    path = tmp_path / "openholder.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def write(path, *changes):
    """Write the good configuration with pieces of it replaced: pairs of an old and a new text."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def mistakes(path):
    """What is wrong with the configuration, by key."""
    with pytest.raises(ConfigurationError) as caught:
        Configuration.load(path)
    found = caught.value.mistakes
    assert all(mistake.where and mistake.message for mistake in found)
    assert str(caught.value).splitlines() == [str(mistake) for mistake in found]
    by_key = {mistake.key: mistake for mistake in found}
    assert len(by_key) == len(found)
    return by_key


# -- what loads ---------------------------------------------------------------------------------------------------


def test_a_good_file_loads_with_the_settings_of_its_sources(path, tmp_path):
    configuration = Configuration.load(path)
    settings = configuration.settings
    assert configuration.path == path
    assert settings.public_url == ("http://127.0.0.1:8443",)
    assert settings.fiskil.issuer == ("examplebank.cdr.fiskil.com",)
    assert settings.fiskil.algorithms == ("PS256", "RS256")
    assert settings.listen.port == 8443
    bank = configuration.sources["bank"]
    assert (bank.kind, bank.path, bank.timeout) == ("sqlite", tmp_path / "bank.db", 5.0)


def test_a_single_source_serves_everything_without_being_told(path):
    assert Configuration.load(path).serve == {"*": "bank"}


def test_serve_says_what_a_source_serves(path):
    write(path, (FISKIL, f'[serve]\ncustomers = "bank"\n{FISKIL}'))
    assert Configuration.load(path).serve == {"customers": "bank"}


@pytest.mark.parametrize(
    "url",
    [
        "https://cdr.example.com/.well-known/jwks.json",
        "http://localhost/jwks",
        "http://127.8.8.8:1/jwks",
        "http://[::1]:1/jwks",
    ],
)
def test_keys_come_over_https_or_from_this_machine(path, url):
    write(path, (JWKS_URL, f'"{url}"'))
    assert Configuration.load(path).settings.fiskil.jwks_url == url


def test_relative_paths_start_at_the_folder_of_the_file(path, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    configuration = Configuration.load(Path("../openholder.toml"))
    assert configuration.sources["bank"].path.samefile(tmp_path / "bank.db")
    assert configuration.settings.replay.path.parent.samefile(tmp_path)


def test_the_file_is_named_or_from_the_environment_or_local(path, tmp_path, monkeypatch):
    for name in ("named", "variable", "here"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "openholder.toml").write_text(GOOD.replace("bank.db", "../bank.db"), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    assert Configuration.load().path == Path("openholder.toml")
    monkeypatch.setenv("OPENHOLDER_CONFIG", str(tmp_path / "variable" / "openholder.toml"))
    assert Configuration.load().path.parent.name == "variable"
    assert Configuration.load(tmp_path / "named" / "openholder.toml").path.parent.name == "named"


# -- the environment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("OPENHOLDER_LISTEN__PORT", "1234", lambda it: it.settings.listen.port == 1234),
        ("openholder_listen__port", "1234", lambda it: it.settings.listen.port == 1234),
        ("OPENHOLDER_AUTH_ALIAS", "true", lambda it: it.settings.auth_alias is True),
        ("OPENHOLDER_FISKIL__ISSUER", "one, two", lambda it: it.settings.fiskil.issuer == ("one", "two")),
        ("OPENHOLDER_FISKIL__ALGORITHMS", "RS256", lambda it: it.settings.fiskil.algorithms == ("RS256",)),
        (
            "OPENHOLDER_PUBLIC_URL",
            "https://a.example.com",
            lambda it: it.settings.public_url == ("https://a.example.com",),
        ),
        (
            "OPENHOLDER_PUBLIC_URL",
            "https://a.example.com,https://b.example.com",
            lambda it: len(it.settings.public_url) == 2,
        ),
        (
            "OPENHOLDER_PUBLIC_URL",
            '["https://a.example.com", "https://b.example.com"]',
            lambda it: len(it.settings.public_url) == 2,
        ),
        ("OPENHOLDER_ID_CHARACTERS", "[]", lambda it: it.settings.id_characters == "[]"),
        ("OPENHOLDER_LOG__PSEUDONYM_KEY", "1234", lambda it: it.settings.log.pseudonym_key is not None),
        ("OPENHOLDER_SERVE", '{"*": "bank"}', lambda it: it.settings.serve == {"*": "bank"}),
        ("OPENHOLDER_SOURCES__BANK__PATH", "1234", lambda it: it.sources["bank"].path.name == "1234"),
        (
            "OPENHOLDER_SOURCES__BANK",
            '{"connections": 2}',
            lambda it: it.sources["bank"].connections == 2,
        ),
        ("OPENHOLDER_SOURCES__BANK__CONNECTIONS", "2", lambda it: it.sources["bank"].connections == 2),
        ("OPENHOLDER_SOURCES__BANK__PATH", "other.db", lambda it: it.sources["bank"].path.name == "other.db"),
        ("OPENHOLDER_FISKIL", '{"issuer": "one"}', lambda it: it.settings.fiskil.issuer == ("one",)),
    ],
)
def test_the_environment_overrides_any_single_key(path, tmp_path, monkeypatch, variable, value, read):
    (tmp_path / "other.db").touch()
    (tmp_path / "1234").touch()
    assert not read(Configuration.load(path))
    monkeypatch.setenv(variable, value)
    configuration = Configuration.load(path)
    assert read(configuration)
    assert configuration.settings.fiskil.jwks_url == JWKS_URL.strip('"')
    assert configuration.sources["bank"].kind == "sqlite"


def test_a_variable_of_one_key_comes_before_that_of_its_table(path, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LISTEN__PORT", "1234")
    monkeypatch.setenv("OPENHOLDER_LISTEN", '{"port": 1, "address": "127.0.0.2"}')
    listen = Configuration.load(path).settings.listen
    assert (listen.port, listen.address) == (1234, "127.0.0.2")


def test_variables_that_are_no_keys_count_for_nothing(path, monkeypatch):
    """Kubernetes sets such ones for a service of that name."""
    monkeypatch.setenv("OPENHOLDER_PORT", "tcp://10.0.0.1:443")
    monkeypatch.setenv("OPENHOLDER_SERVICE_HOST", "10.0.0.1")
    assert Configuration.load(path).settings.listen.port == 8443


@pytest.mark.parametrize(
    ("variable", "value", "key", "word"),
    [
        ("OPENHOLDER_LISTN__PORT", "1", "listn", "'listen'"),
        ("OPENHOLDER_LISTEN__PROT", "1", "listen.prot", "'port'"),
        ("OPENHOLDER_LISTEN__PORT", CANARY, "listen.port", "whole number"),
        ("OPENHOLDER_SOURCES__BANK__CONECTIONS", "1", "sources.bank.conections", "'connections'"),
        ("OPENHOLDER_FISKIL", CANARY, "fiskil", "JSON"),
        ("OPENHOLDER_SOURCES__BANK", CANARY, "sources.bank", "OPENHOLDER_SOURCES__BANK__KEY"),
        ("OPENHOLDER_ENDPOINTS", CANARY, "endpoints", "found text, expected a list"),
        ("OPENHOLDER_OPEN_MEMBERS", f"banking.accounts.{CANARY}", "open_members", "must begin with one of fdx."),
        ("OPENHOLDER_OPEN_MEMBERS", f"fdx.accounts.{CANARY}.x", "open_members", "a member of fdx.accounts"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(path, monkeypatch, variable, value, key, word):
    monkeypatch.setenv(variable, value)
    found = mistakes(path)
    assert list(found) == [key]
    assert word in found[key].message
    assert found[key].where == f"environment variable {variable}"
    assert CANARY not in found[key].message


# -- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ['{ env = "PSEUDONYMS" }', '{ file = "pseudonyms" }', f'"{CANARY}"'])
def test_a_secret_is_read_from_its_place_and_never_printed(path, tmp_path, monkeypatch, written):
    monkeypatch.setenv("PSEUDONYMS", CANARY)
    (tmp_path / "pseudonyms").write_text(f"{CANARY}\n", encoding="utf-8")
    write(path, (FISKIL, f"[log]\npseudonym_key = {written}\n{FISKIL}"))
    configuration = Configuration.load(path)
    assert configuration.settings.log.pseudonym_key.get_secret_value() == CANARY
    assert CANARY not in repr(configuration)


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ('{ env = "UNSET_VARIABLE" }', "UNSET_VARIABLE"),
        ('{ env = "EMPTY_VARIABLE" }', "EMPTY_VARIABLE"),
        ('{ file = "no-such-file" }', "no-such-file"),
        ('{ file = "empty-file" }', "empty"),
        ('{ file = "binary-file" }', "binary-file"),
        ('{ variable = "PSEUDONYMS" }', "{ env = "),
        ("{}", "{ env = "),
        ("12", "expected text"),
    ],
)
def test_a_secret_that_is_not_there_is_a_mistake_and_never_empty(path, tmp_path, monkeypatch, written, word):
    monkeypatch.delenv("UNSET_VARIABLE", raising=False)
    monkeypatch.setenv("EMPTY_VARIABLE", "")
    (tmp_path / "empty-file").write_text("\n", encoding="utf-8")
    (tmp_path / "binary-file").write_bytes(b"\xff\xfe")
    write(path, (FISKIL, f"[log]\npseudonym_key = {written}\n{FISKIL}"))
    found = mistakes(path)
    assert list(found) == ["log.pseudonym_key"]
    assert word in found["log.pseudonym_key"].message


# -- mistakes -----------------------------------------------------------------------------------------------------

TWO_SOURCES = f'[sources.ledger]\nkind = "sqlite"\npath = "bank.db"\n{FISKIL}'
MEMORY = f'[replay]\nstore = "memory"\n[listen]\nworkers = 2\n{FISKIL}'

BROKEN = [
    # unknown, missing, of the wrong type
    ((FISKIL, f"colour = 1\n{FISKIL}"), "colour", "unknown key"),
    ((FISKIL, f"auth_alis = true\n{FISKIL}"), "auth_alis", "did you mean 'auth_alias'"),
    ((FISKIL, f"{FISKIL}issuers = []\n"), "fiskil.issuers", "did you mean 'issuer'"),
    ((DATA, f"{DATA}timeot = 1\n"), "sources.bank.timeot", "did you mean 'timeout'"),
    ((DATA, f"{DATA}conections = 1\n"), "sources.bank.conections", "did you mean 'connections'"),
    ((f"public_url = {PUBLIC_URL}", ""), "public_url", "missing"),
    ((f"jwks_url = {JWKS_URL}", ""), "fiskil.jwks_url", "missing"),
    ((DATA, ""), "sources.bank.path", "missing"),
    ((f"[sources.bank]\n{KIND}{DATA}", ""), "sources", "missing"),
    ((f"[sources.bank]\n{KIND}{DATA}", "[sources]\n"), "sources", "at least 1"),
    ((f"[sources.bank]\n{KIND}{DATA}", "[sources]\nbank = 1\n"), "sources.bank", "expected a table"),
    ((FISKIL, f"[listen]\nport = 'https'\n{FISKIL}"), "listen.port", "whole number"),
    ((FISKIL, f"[listen]\nport = 65536\n{FISKIL}"), "listen.port", "65535"),
    ((FISKIL, f"auth_alias = 'perhaps'\n{FISKIL}"), "auth_alias", "true or false"),
    ((DATA, f"{DATA}timeout = 'soon'\n"), "sources.bank.timeout", "number"),
    # sources
    ((KIND, ""), "sources.bank.kind", "missing"),
    ((KIND, "kind = 1\n"), "sources.bank.kind", "expected text"),
    ((KIND, 'kind = "sqlit"\n'), "sources.bank.kind", "did you mean 'sqlite'"),
    ((DATA, 'path = "bnk.db"\n'), "sources.bank.path", "file not found"),
    ((KIND, 'kind = "csv"\n'), "sources.bank.path", "folder not found"),
    ((KIND + DATA, API.replace("/cust", "cust")), "sources.bank.collections.customers", "begin with /"),
    ((KIND + DATA, API.replace("{customerId}", "{name}")), "sources.bank.collections.customers", "{customerId}"),
    ((FISKIL, f'[serve]\n"*" = "bnk"\n{FISKIL}'), 'serve."*"', "did you mean 'bank'"),
    ((FISKIL, TWO_SOURCES), "serve", "several sources"),
    # whom to trust
    ((JWKS_URL, '"ftp://127.0.0.1/jwks"'), "fiskil.jwks_url", "https"),
    ((JWKS_URL, '"http://cdr.example.com/jwks"'), "fiskil.jwks_url", "https"),
    ((JWKS_URL, '"http://127.0.0.1.example.com/jwks"'), "fiskil.jwks_url", "https"),
    ((JWKS_URL, '"/jwks"'), "fiskil.jwks_url", "URL"),
    ((JWKS_URL, '"https://cdr.example.com:key/jwks"'), "fiskil.jwks_url", "URL"),
    ((PUBLIC_URL, '"https://data.example.com/"'), "public_url.0", "slash"),
    ((PUBLIC_URL, '"http://data.example.com"'), "public_url.0", "https"),
    ((PUBLIC_URL, '"https://data.example.com?a=1"'), "public_url.0", "URL"),
    ((PUBLIC_URL, '["https://data.example.com", "data.example.com"]'), "public_url.1", "URL"),
    ((PUBLIC_URL, "[]"), "public_url", "at least 1"),
    ((FISKIL, f'{FISKIL}algorithms = ["PS256", "HS256"]\n'), "fiskil.algorithms.1", "'RS256'"),
    ((FISKIL, f"{FISKIL}algorithms = []\n"), "fiskil.algorithms", "at least 1"),
    ((FISKIL, f"{FISKIL}authentication_failure_status = 404\n"), "fiskil.authentication_failure_status", "403"),
    # what does not go together
    ((FISKIL, MEMORY), "replay.store", "one process"),
    ((FISKIL, f'[replay]\npath = "nowhere/replay.db"\n{FISKIL}'), "replay.path", "folder not found"),
    ((FISKIL, f'[listen]\ntls_key = "bank.db"\n{FISKIL}'), "listen.tls_certificate", "both or neither"),
    ((FISKIL, f'[listen]\ntls_certificate = "bank.db"\n{FISKIL}'), "listen.tls_certificate", "both or neither"),
]


@pytest.mark.parametrize(("change", "key", "word"), BROKEN, ids=[f"{key}: {word}" for _, key, word in BROKEN])
def test_a_mistake_is_named_by_file_and_key_alone(path, change, key, word):
    write(path, change)
    found = mistakes(path)
    assert list(found) == [key]
    assert word in found[key].message
    assert found[key].where == str(path)


def test_an_unknown_kind_is_answered_with_the_installed_ones(path):
    write(path, (KIND, 'kind = "oracle"\n'))
    message = mistakes(path)["sources.bank.kind"].message
    assert {"csv", "rest", "sqlite"} <= {kind.name for kind in list_kinds()}
    assert all(kind.name in message for kind in list_kinds())


def test_every_mistake_is_reported_at_once(path, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LOG__LEVEL", "loud")
    write(
        path,
        (f"public_url = {PUBLIC_URL}", 'colour = "blue"'),
        (JWKS_URL, '"http://cdr.example.com/jwks"'),
        (KIND + DATA, API + "[sources.ledger]\nkind = 'oracle'\n[serve]\n'*' = 'bnk'\n[replay]\nstore = 'paper'\n"),
    )
    assert set(mistakes(path)) == {
        "colour",
        "fiskil.jwks_url",
        "log.level",
        "public_url",
        "replay.store",
        'serve."*"',
        "sources.ledger.kind",
    }


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'public_url = "https://data.example.com"\n[fiskil\n', "line 2"),
        (b"\xff\xfe[\x00", "Unicode"),
        (None, "openholder init"),
    ],
    ids=["not TOML", "not UTF-8", "no file"],
)
def test_a_file_that_cannot_be_read_is_one_mistake(path, content, word):
    path.unlink() if content is None else path.write_bytes(content)
    found = mistakes(path)
    assert list(found) == [""]
    assert word in found[""].message
    assert found[""].where == str(path)


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        (FISKIL, f"[log]\npseudonym_key = ['{CANARY}']\n{FISKIL}"),
        (FISKIL, f"[log]\npseudonym_key = {{ value = '{CANARY}' }}\n{FISKIL}"),
        (FISKIL, f"[log]\npseudonym_key = {CANARY}\n{FISKIL}"),
        (FISKIL, f"[log]\npseudonym_key = '{CANARY}\n{FISKIL}"),
        (FISKIL, f"[log]\npseudonym = '{CANARY}'\n{FISKIL}"),
        (FISKIL, f"[log]\nlevel = '{CANARY}'\n{FISKIL}"),
        (FISKIL, f"[listen]\nport = '{CANARY}'\n{FISKIL}"),
        (FISKIL, f"{FISKIL}algorithms = '{CANARY}'\n"),
        (FISKIL, f"plugins = {{ name = '{CANARY}' }}\n{FISKIL}"),
        (PUBLIC_URL, f'"https://user:{CANARY}@data.example.com"'),
        (PUBLIC_URL, f'"https://data.example.com?key={CANARY}"'),
        (JWKS_URL, f'"{CANARY}://cdr.example.com/jwks"'),
        (JWKS_URL, f'"https://[{CANARY}]/jwks"'),
        (JWKS_URL, f'"https://user:{CANARY}@cdr\u2100example.com/jwks"'),
        (KIND + DATA, API.replace("https://", f"ftp://{CANARY}@")),
        (KIND + DATA, API.replace("api.example.com", f"[{CANARY}]")),
        (KIND + DATA, API.replace("{customerId}", f"{{{CANARY}}}")),
        (KIND + DATA, API.replace("{customerId}", f"{{{CANARY}")),
        (KIND + DATA, f"token = ['{CANARY}']\n{API}"),
        (KIND + DATA, f"tokn = '{CANARY}'\n{API}"),
        (KIND + DATA, f"headers = {{ Authorization = ['{CANARY}'] }}\n{API}"),
    ],
)
def test_no_message_repeats_a_value_of_the_file(path, change):
    write(path, change)
    assert not [str(mistake) for mistake in mistakes(path).values() if CANARY in str(mistake)]


def test_no_message_repeats_a_secret_that_was_read(path, monkeypatch):
    monkeypatch.setenv("TOKEN", CANARY)
    write(path, (KIND + DATA, f"token = {{ env = 'TOKEN' }}\ncolour = 1\n{API}"))
    found = mistakes(path)
    assert list(found) == ["sources.bank.colour"]
    assert CANARY not in str(found["sources.bank.colour"])


def test_files_that_the_server_writes_are_in_the_state_folder(path, monkeypatch):
    """Unless they have settings of their own, which start at the folder of the file as all paths do."""
    folder = path.parent
    state = folder / "state"
    state.mkdir()
    path.write_text(GOOD.replace(FISKIL, 'state_folder = "state"\n[fiskil]\n'))
    settings = Configuration.load(path).settings
    assert settings.fiskil.known_keys == state / "known-keys.json"
    assert settings.cursor_key == state / "cursor.key"
    assert settings.replay.path == state / "replay.db"
    path.write_text(GOOD.replace(FISKIL, 'cursor_key = "own.key"\n[fiskil]\n') + '[replay]\npath = "own.db"\n')
    monkeypatch.setenv("OPENHOLDER_STATE_FOLDER", str(state))
    settings = Configuration.load(path).settings
    assert settings.fiskil.known_keys == state / "known-keys.json"
    assert settings.cursor_key == folder / "own.key"
    assert settings.replay.path == folder / "own.db"
    monkeypatch.setenv("OPENHOLDER_STATE_FOLDER", str(folder / "missing"))
    with pytest.raises(ConfigurationError, match="folder not found"):
        Configuration.load(path)


@pytest.mark.parametrize("proxies", ['["proxy.example"]', '["10.0.0.0/99"]', "7"])
def test_trusted_proxies_are_addresses_and_networks(path, proxies):
    path.write_text(GOOD + f"[listen]\ntrusted_proxies = {proxies}\n")
    with pytest.raises(ConfigurationError, match=r"listen\.trusted_proxies"):
        Configuration.load(path)
