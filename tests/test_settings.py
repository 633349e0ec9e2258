"""Settings from file, environment and flags."""

import re
from pathlib import Path
from typing import Any

import pytest

from reactor.clock import SystemClock
from reactor.errors import BadConfig, NotFound
from reactor.model.flow import Defaults, Keep
from reactor.secrets import Redactor, Secrets
from reactor.settings import (
    ConnectionSettings,
    Settings,
    describe_settings,
    load_settings,
    resolve_connection,
    split_address,
)

SAMPLE = Path(__file__).parent.parent / "packaging" / "reactor.yaml"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads settings from a text, variables and flags, in an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def load_(text: str | None = None, overrides: Any = None, **environ: str) -> Settings:
        if text is not None:
            Path("reactor.yaml").write_text(text)
        return load_settings(config=None, environ=environ, overrides=overrides)

    return load_


@pytest.fixture
def refused(load):
    """Loads settings that must be refused; the problems as lines of text."""

    def refused_(text: str | None = None, overrides: Any = None, **environ: str) -> list[str]:
        with pytest.raises(BadConfig) as caught:
            load(text, overrides, **environ)
        return [str(problem) for problem in caught.value.problems]

    return refused_


def test_nothing_given_is_the_defaults(load):
    """Without a file, variables and flags every default holds."""
    assert load() == Settings()


def test_an_empty_file_is_the_defaults(load):
    """A file of comments sets nothing, and so does an empty section."""
    assert load("# nothing\nserver:\n") == Settings()


def test_every_part_of_the_file_is_read(load):
    """Texts, numbers, durations, sizes, lists and maps take the types of their keys."""
    settings = load("""
        flows: /etc/reactor/flows
        server: {listen: "[::1]:0", tls: {cert: a.pem, key: b.pem}, max_connections: 8}
        store: {max_size: 1GiB}
        keep: {ok: 1h30m, unwanted: 5}
        defaults: {retry: {max: 3, within: 1h}, timeout: 30s, run: {mode: queue}, tz: Europe/Berlin}
        secrets: {env: [HOOK], exec: {args: [vault, get], timeout: 2s}}
        env: [HOME]
        files: {roots: [/srv]}
        connections:
          main: {kafka: {brokers: ["localhost:9092"]}}
        """)

    assert settings.flows == Path("/etc/reactor/flows")
    assert split_address(settings.server.listen) == ("::1", 0)
    assert (settings.server.tls.cert, settings.server.max_connections) == (Path("a.pem"), 8)
    assert (settings.store.max_size, settings.keep.ok, settings.keep.unwanted) == (1 << 30, 5400, 5)
    assert settings.secrets.exec.args == ("vault", "get")
    assert (settings.env, settings.files.roots) == (("HOME",), (Path("/srv"),))
    assert settings.connections == {
        "main": ConnectionSettings("kafka", {"brokers": ["localhost:9092"]})
    }
    assert settings.defaults_for_flows() == Defaults(
        retry={"max": 3, "within": "1h"},
        timeout_secs=30.0,
        run={"mode": "queue"},
        tz="Europe/Berlin",
        keep=Keep(ok_secs=5400.0, failed_secs=30 * 86_400.0),
    )


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(load):
    """Each key takes its value from the nearest place that has one."""
    text = "logs: {level: debug, format: text}\nstate: of-the-file\nflows: of-the-file"
    environ = {"REACTOR_LOGS_FORMAT": "json", "REACTOR_STATE": "of-the-environment"}

    settings = load(text, {"state": Path("of-a-flag"), "flows": None}, **environ)

    assert (settings.logs.level, settings.logs.format) == ("debug", "json")
    assert (settings.state, settings.flows) == (Path("of-a-flag"), Path("of-the-file"))
    assert settings.server.listen == "127.0.0.1:8787"


def test_every_key_has_a_variable(load):
    """Lists have commas, maps are YAML or JSON, numbers and truth are as in the file."""
    settings = load(
        REACTOR_SERVER_TRUSTED_PROXIES="10.0.0.1, 10.1.0.0/16",
        REACTOR_SERVER_ALLOW_UNAUTHENTICATED="true",
        REACTOR_SERVER_MAX_CONNECTIONS="7",
        REACTOR_STORE_MIN_FREE="1MiB",
        REACTOR_DEFAULTS_RETRY='{"max": 2}',
        REACTOR_CONNECTIONS="{db: {sql: {dsn: x}}}",
        REACTOR_SECRETS_EXEC_ARGS="",
    )

    assert settings.server.trusted_proxies == ("10.0.0.1", "10.1.0.0/16")
    assert (settings.server.allow_unauthenticated, settings.server.max_connections) == (True, 7)
    assert (settings.store.min_free, settings.defaults.retry) == (1 << 20, {"max": 2})
    assert settings.connections == {"db": ConnectionSettings("sql", {"dsn": "x"})}
    assert settings.secrets.exec.args == ()


def test_the_secrets_folder_has_a_short_variable(load):
    """REACTOR_SECRETS is the folder, as --secrets is."""
    assert load(REACTOR_SECRETS="/run/secrets").secrets.dir == Path("/run/secrets")


def test_the_file_may_be_named_by_a_variable(load, tmp_path):
    """REACTOR_CONFIG names the file; one that is named must be there."""
    (tmp_path / "other.yaml").write_text("state: s")

    assert load(REACTOR_CONFIG="other.yaml").state == Path("s")
    with pytest.raises(BadConfig, match=r"none.yaml:1:1: the file cannot be read: No such file"):
        load(REACTOR_CONFIG="none.yaml")


def test_all_problems_are_told_at_once(refused):
    """Each mistake has its place and its remedy; one does not hide another."""
    text = """\
sever: {listen: "127.0.0.1:1"}
listen: 127.0.0.1:1
server:
  listen: 8787
  max_connections: lots
  allow_unauthenticated: yes please
  trusted_proxies: [nowhere]
  admin: 127.0.0.1:1
store: {max_size: 10}
logs: {level: inf}
keep: 7d
env: HOME
defaults:
  tz: Europe/Berlim
  retry: {max: 3, backoff: 2}
  run: {mode: paralel}
connections:
  main: {kafka: {}, nats: {}}
  x: {http: {base: "${{ env.A }}"}}
"""
    expected = [
        "reactor.yaml:1:1: no key 'sever' in the settings; did you mean server",
        "reactor.yaml:2:1: no key 'listen' in the settings; it is server.listen",
        "reactor.yaml:4:11: server.listen: '8787' is no address: write 127.0.0.1:8787 for this",
        "reactor.yaml:5:20: server.max_connections takes a whole number, not a text",
        "reactor.yaml:6:26: server.allow_unauthenticated takes true or false, not a text",
        "reactor.yaml:7:21: 'nowhere' is no address or network: write 10.0.0.7 or 10.0.0.0/8",
        "reactor.yaml:8:10: server.admin is not built yet: the API is on the socket",
        "reactor.yaml:9:19: store.max_size: 10 is no size: write a number with B, KiB, MiB",
        "reactor.yaml:10:15: logs.level is one of ",
        "reactor.yaml:11:7: keep takes a map of ok, failed, unwanted, not a text",
        "reactor.yaml:12:6: env takes a list, not a text",
        "reactor.yaml:14:7: defaults.tz: no time zone is called 'Europe/Berlim'",
        "reactor.yaml:15:19: no key 'backoff' in retry",
        "reactor.yaml:16:15: mode is one of ",
        "reactor.yaml:18:9: connection 'main' has one key, its kind: main: {kafka: {…}}",
        "reactor.yaml:19:20: a connection takes ${{ secrets.NAME }} and no other template",
    ]

    found = refused(text)

    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: [", "reactor.yaml:1:10: "),
        ("state: a\nstate: b", "reactor.yaml:2:1: 'state' stands twice in this map"),
        ("state: a\n---\nstate: b", "reactor.yaml:3:1: settings are one document"),
        ("- a", "reactor.yaml:1:1: the settings takes a map"),
        ("server: {tls: {cert: a.pem}}", "reactor.yaml:1:1: server.tls: cert and key belong"),
        ("keep: {unwanted: -1}", "reactor.yaml:1:18: keep.unwanted is at least 0"),
        ("server: {max_connections: 0}", "reactor.yaml:1:27: server.max_connections is at least 1"),
        ("warnings: []", "reactor.yaml:1:1: no key 'warnings'"),
        ("state: " + "x" * 70_000, "reactor.yaml:1:1: the file has"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(refused, text, problem):
    """What YAML or the schema does not take names its line."""
    assert refused(text)[0].startswith(problem)


def test_a_bad_variable_or_flag_is_called_by_its_name(refused):
    """The place of a problem is the variable or the flag."""
    problems = refused(
        None, {"server.listen": "nowhere"}, REACTOR_KEEP_OK="1y", REACTOR_LOGS_LEVEL="loud"
    )

    assert [problem.split(": ")[0] for problem in problems] == [
        "REACTOR_KEEP_OK:1:1",
        "REACTOR_LOGS_LEVEL:1:1",
        "server.listen:1:1",
    ]


def test_an_unknown_variable_is_a_warning(load):
    """It may be a slip of the finger, and may be another program's; ours for tests is known."""
    settings = load(REACTOR_SERVER_LISTN="x", REACTOR_REQUIRE_BROKERS="1", HOME="/root")

    (problem,) = settings.warnings
    assert problem.severity == "warning"
    assert problem.message.endswith("LISTN; did you mean REACTOR_SERVER_LISTEN")


def test_the_error_reads_as_a_person_needs_it(load):
    """The text has place, line and caret."""
    with pytest.raises(BadConfig) as caught:
        load("logs: {level: inf}\n")

    assert str(caught.value).splitlines()[1:3] == [
        "    1 | logs: {level: inf}",
        "      |               ^^^",
    ]


def test_a_connection_gets_its_secrets_on_use(load, tmp_path):
    """Templates of secrets are filled in anywhere below the connection, when it is opened."""
    settings = load("""
        connections:
          books: {http: {base: "https://x", auth: {bearer: "${{ secrets.token }}", n: [1]}}}
        """)
    (tmp_path / "token").write_text("the token")
    secrets = Secrets(redactor=Redactor(), clock=SystemClock(), environ={}, folder=tmp_path)
    books = settings.connections["books"]

    assert "the token" not in repr(settings)
    assert resolve_connection(books, secrets) == {
        "base": "https://x",
        "auth": {"bearer": "the token", "n": [1]},
    }
    (tmp_path / "token").unlink()
    with pytest.raises(NotFound, match="token"):
        resolve_connection(books, secrets)


@pytest.mark.parametrize("text", ["8787", ":8787", "::1:8787", "host:", "host:99999", "host:x", ""])
def test_an_address_has_host_and_port(text):
    """What is no address is refused with one that is."""
    with pytest.raises(ValueError, match="write"):
        split_address(text)


def test_every_setting_is_described():
    """Each key has a type, its default and a meaning that ends as a sentence."""
    described = {
        key: (kind, default, meaning) for key, kind, default, meaning in describe_settings()
    }

    assert described["server.listen"][:2] == ("text", "127.0.0.1:8787")
    assert described["store.max_size"][:2] == ("size", "10GiB")
    assert described["keep.failed"][:2] == ("duration", "30d")
    assert described["logs.format"][:2] == ("auto, text or json", "auto")
    assert described["server.allow_unauthenticated"][:2] == ("true or false", "false")
    assert all(meaning.endswith(".") for _, _, meaning in described.values())
    assert "warnings" not in described


def test_the_sample_shows_every_setting_with_its_default(tmp_path):
    """packaging/reactor.yaml, with its comments opened, loads and changes nothing."""
    opened = re.sub("(?m)^( *)#(?=[a-z])", r"\1", SAMPLE.read_text())
    path = tmp_path / "reactor.yaml"
    path.write_text(opened)

    settings = load_settings(config=path, environ={})

    lines = {line.strip().partition(":")[0] for line in opened.splitlines()}
    assert {key.rpartition(".")[2] for key, *_ in describe_settings()} <= lines
    assert settings == Settings()
