"""Everything that can be set, with its default and meaning; the manual's page is made from it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from reactor.loading.words import literal
from reactor.model.flow import Defaults, Keep
from reactor.plugin.spec import doc
from reactor.problem import Problem
from reactor.settings.connections import ConnectionSettings
from reactor.units import Duration, Size, format_duration, format_size

_DAY_SECS = 86_400.0
_TYPE_WORDS = {
    str: "text",
    int: "number",
    bool: "true or false",
    Duration: "duration",
    Size: "size",
    Path: "path",
    tuple[str, ...]: "list of texts",
    tuple[Path, ...]: "list of paths",
}


class Tls(Struct, frozen=True, kw_only=True):
    """The certificate of the webhook listener."""

    cert: Annotated[Path | None, literal("PEM file with the certificate and its chain.")] = None
    key: Annotated[Path | None, literal("PEM file with the certificate's private key.")] = None
    client_ca: Annotated[
        Path | None, literal("PEM file with who vouches for the certificates of clients.")
    ] = None


class Server(Struct, frozen=True, kw_only=True):
    """The webhook listener."""

    listen: Annotated[
        str, literal("Address and port of the webhook listener; port 0 takes a free one.")
    ] = "127.0.0.1:8787"
    admin: Annotated[
        str | None, literal("Address and port of the API over TCP (not built yet).")
    ] = None
    allow_unauthenticated: Annotated[
        bool, literal("Serve `verify: none` on an address that is not loopback, too.")
    ] = False
    trusted_proxies: Annotated[
        tuple[str, ...], literal("Addresses and networks whose X-Forwarded-For is believed.")
    ] = ()
    tls: Tls = Tls()
    max_connections: Annotated[int, literal("Connections to the webhook listener at a time.")] = (
        1024
    )


class StoreSettings(Struct, frozen=True, kw_only=True):
    """What the state folder may take."""

    max_size: Annotated[
        Size, literal("Above this the oldest finished executions are dropped first.")
    ] = Size(10 << 30)
    min_free: Annotated[
        Size, literal("With less free disk no events are taken in; what is open goes on.")
    ] = Size(256 << 20)


class KeepSettings(Struct, frozen=True, kw_only=True):
    """How long history is kept."""

    ok: Annotated[Duration, literal("How long executions that went well are kept.")] = Duration(
        7 * _DAY_SECS
    )
    failed: Annotated[Duration, literal("How long failed executions are kept.")] = Duration(
        30 * _DAY_SECS
    )
    unwanted: Annotated[int, literal("How many events that no flow wanted are kept for `why`.")] = (
        10_000
    )


class FlowDefaults(Struct, frozen=True, kw_only=True):
    """What flows have that do not say otherwise."""

    retry: Annotated[Any, doc("The retry of every step, as on a step: `5` or a map.")] = None
    timeout: Annotated[Duration | None, literal("The timeout of one attempt of every step.")] = None
    run: Annotated[Any, doc("The `run` of every flow, as on a flow: a map.")] = None
    tz: Annotated[str, literal("The time zone of schedules and time functions (IANA).")] = "UTC"


class SecretCommand(Struct, frozen=True, kw_only=True):
    """A program that prints the secret whose name is its last argument."""

    args: Annotated[
        tuple[str, ...], literal("Program and arguments; the name of the secret is added last.")
    ] = ()
    timeout: Annotated[Duration, literal("How long the program may take.")] = Duration(10)
    keep: Annotated[Duration, literal("How long its answer is used before it is asked again.")] = (
        Duration(60)
    )


class SecretsSettings(Struct, frozen=True, kw_only=True):
    """Where secrets come from, after systemd's credentials."""

    dir: Annotated[Path, literal("Folder with one file for each secret, called by its name.")] = (
        Path("secrets")
    )
    env: Annotated[
        tuple[str, ...],
        literal("Environment variables that are secrets (GITHUB_HOOK: github_hook)."),
    ] = ()
    exec: SecretCommand = SecretCommand()


class Net(Struct, frozen=True, kw_only=True):
    """What event data may reach."""

    allow: Annotated[
        tuple[str, ...],
        literal("Hosts, addresses and networks that event data may name although not public."),
    ] = ()


class FilesSettings(Struct, frozen=True, kw_only=True):
    """Which files event data may reach."""

    roots: Annotated[
        tuple[Path, ...], literal("Folders in which event data may name files freely.")
    ] = ()


class Plugins(Struct, frozen=True, kw_only=True):
    """Plugins of your own."""

    dir: Annotated[Path, literal("Folder with plugin files.")] = Path("plugins")


class Logs(Struct, frozen=True, kw_only=True):
    """The daemon's log lines, on standard error."""

    format: Annotated[
        Literal["auto", "text", "json"], literal("auto: text on a terminal, else JSON lines.")
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], literal("The least level that is shown.")
    ] = "info"


class Settings(Struct, frozen=True, kw_only=True):
    """How the daemon runs. `warnings` are not fatal: log them once logging works."""

    flows: Annotated[Path, literal("Folder with the flow files.")] = Path("flows")
    state: Annotated[Path, literal("Folder for everything that must survive.")] = Path("state")
    server: Server = Server()
    store: StoreSettings = StoreSettings()
    keep: KeepSettings = KeepSettings()
    defaults: FlowDefaults = FlowDefaults()
    secrets: SecretsSettings = SecretsSettings()
    env: Annotated[tuple[str, ...], literal("Environment variables that flows may read.")] = ()
    net: Net = Net()
    files: FilesSettings = FilesSettings()
    plugins: Plugins = Plugins()
    logs: Logs = Logs()
    connections: Annotated[
        Mapping[str, ConnectionSettings],
        doc("Named connections: `main: {kafka: {brokers: [...]}}`; flows say `connection: main`."),
    ] = {}
    warnings: tuple[Problem, ...] = ()

    def defaults_for_flows(self) -> Defaults:
        """`defaults` and `keep` as the loader of flows takes them."""
        return Defaults(
            retry=self.defaults.retry,
            timeout_secs=self.defaults.timeout,
            run=self.defaults.run,
            tz=self.defaults.tz,
            keep=Keep(ok_secs=self.keep.ok, failed_secs=self.keep.failed),
        )


class Leaf(Struct, frozen=True):
    """One key that can be set: `server.tls.cert`. `type` is as declared, with its `doc`."""

    key: str
    type: Any
    default: Any
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable of this key: `REACTOR_SERVER_TLS_CERT`."""
        return f"REACTOR_{self.key.replace('.', '_').upper()}"


def leaves(shape: Any = Settings, prefix: str = "") -> Iterator[Leaf]:
    """Every key that can be set, in the order of the declarations."""
    hints = get_type_hints(shape, include_extras=True)
    for field in msgspec.structs.fields(shape):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            default = {} if field.default is msgspec.NODEFAULT else field.default
            yield Leaf(prefix + field.name, hint, default, get_args(hint)[1].description)
        elif isinstance(hint, type) and issubclass(hint, Struct):
            yield from leaves(hint, f"{prefix}{field.name}.")


def build(values: Mapping[str, Any], shape: Any = Settings, prefix: str = "") -> Any:
    """The struct with the given leaves, and defaults for the rest."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(shape):
        key = prefix + field.name
        if key in values:
            given[field.name] = values[key]
        elif isinstance(field.type, type) and issubclass(field.type, Struct):
            given[field.name] = build(values, field.type, f"{key}.")
    return shape(**given)


def describe_settings() -> list[tuple[str, str, str, str]]:
    """Key, type, default and meaning of everything that can be set."""
    return [(e.key, _type_words(e.type), _default_words(e), e.meaning) for e in leaves()]


def bare_type(hint: Any) -> Any:
    """The type of a value that is there: `Path` of `Annotated[Path | None, …]`."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    parts = get_args(kind)
    return parts[0] if type(None) in parts else kind


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8787` or `[::1]:8787`; ValueError with the remedy."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host):
        number = port if port.isdecimal() else "8787"
        raise ValueError(
            f"{text!r} is no address: write 127.0.0.1:{number} for this machine only, "
            f"0.0.0.0:{number} or [::]:{number} for everyone"
        )
    if not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ValueError(f"{text!r} has no port: write a number up to 65535, or 0 for a free one")
    return bare, int(port)


def _type_words(hint: Any) -> str:
    kind = bare_type(hint)
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}"
    return _TYPE_WORDS.get(kind, "map")


def _default_words(leaf: Leaf) -> str:
    value = leaf.default
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, Size):
        return format_size(value)
    if value is None or value in ((), {}):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
