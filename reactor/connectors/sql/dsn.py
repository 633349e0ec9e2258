"""Which database a flow means: by `dsn`, or by a connection of kind sql."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from reactor.connectors.sql.database import Database
from reactor.connectors.sql.mysql import MysqlDatabase
from reactor.connectors.sql.postgresql import PostgresDatabase
from reactor.connectors.sql.sqlite import SqliteDatabase
from reactor.errors import DatabaseFailed
from reactor.plugin.context import ActionContext, SourceContext
from reactor.plugin.spec import Config, doc

FORMS = (
    "postgresql://user:password@host/database, mysql://user:password@host/database or "
    "sqlite:path/to/file"
)
_CONNINFO = re.compile(r"\s*[a-z_]+\s*=")
_TLS = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity")


Dsn = Annotated[
    str | None,
    doc(
        f"Where the database is: {FORMS}.",
        "${{ secrets.shop_dsn }}",
        strict=True,
        authored=True,
    ),
]
ConnectionName = Annotated[
    str | None,
    doc(
        "The connection of kind sql instead of dsn; it may be left out where there is one only.",
        "shop",
        form="literal",
    ),
]


class Settings(Config, frozen=True):
    """A connection of kind sql in reactor.yaml."""

    dsn: str
    max: int = 5


def settings(
    dsn: str | None, connection: str | None, context: ActionContext | SourceContext
) -> Settings:
    """The database that a config names."""
    if dsn is not None:
        return Settings(dsn=dsn)
    found: Any = context.connection("sql", connection).config
    if not isinstance(found.get("dsn"), str):
        raise DatabaseFailed(f"the connection has no dsn: sql: {{dsn: …}} takes {FORMS}")
    most = found.get("max", 5)
    return Settings(dsn=found["dsn"], max=most if isinstance(most, int) and most > 0 else 5)


def database(dsn: str, base: str) -> Database:
    """The database of a DSN; relative paths of SQLite start at `base`."""
    scheme, colon, rest = dsn.partition(":")
    if scheme in ("postgres", "postgresql") and colon:
        return PostgresDatabase(dsn)
    if scheme in ("mysql", "mariadb") and colon:
        return MysqlDatabase(_mysql(dsn))
    if scheme == "sqlite" and colon:
        # sqlite:shop.db and sqlite:///shop.db are relative, sqlite:////var/shop.db is not.
        path = rest.removeprefix("///") if rest.startswith("///") else rest.removeprefix("//")
        return SqliteDatabase(Path(base) / unquote(path))
    if _CONNINFO.match(dsn):
        return PostgresDatabase(dsn)
    raise DatabaseFailed(f"the dsn is none that this build knows: {FORMS}")


def place(dsn: str) -> str:
    """What tells one database from another without showing the password."""
    return hashlib.sha256(dsn.encode()).hexdigest()[:16]


def _mysql(dsn: str) -> dict[str, Any]:
    try:
        parts = urlsplit(dsn)
        port = parts.port or 3306
    except ValueError as error:
        raise DatabaseFailed(f"the dsn cannot be read: {error}") from error
    found: dict[str, Any] = {"host": parts.hostname or "localhost", "port": port}
    if parts.username is not None:
        found["user"] = unquote(parts.username)
    if parts.password is not None:
        found["password"] = unquote(parts.password)
    if name := unquote(parts.path.lstrip("/")):
        found["database"] = name
    for key, value in parse_qsl(parts.query):
        if key == "unix_socket" or key in _TLS:
            found[key] = value == "true" if key.startswith("ssl_verify") else value
        else:
            known = ", ".join(("unix_socket", *_TLS))
            raise DatabaseFailed(f"no option {key!r} in the dsn: it takes {known}")
    return found
