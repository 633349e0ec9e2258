"""The action `email.send`: a message, made of the flow's words, handed to an SMTP server."""

import asyncio
import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, Any, TypedDict

import msgspec

from reactor.clock import instant
from reactor.connectors.email.server import Envelope, Server, deliver
from reactor.errors import ActionFailed, NotFound
from reactor.plugin import files
from reactor.plugin.context import ActionContext
from reactor.plugin.decode import DecodeFailed, decode
from reactor.plugin.files import Wanted, open_target
from reactor.plugin.spec import Complaint, Config, action, doc
from reactor.units import format_size, parse_size

Addresses = str | list[str]

_MOST_ATTACHED = parse_size("25MiB")
_registry = HeaderRegistry()
_UNKNOWN = "application/octet-stream"


class Attachment(Config, frozen=True):
    """A file that goes with the message: from the disk, or made of content."""

    path: Annotated[
        str | None, doc("The file; relative paths start at the flows' base.", "out/report.csv")
    ] = None
    content: Annotated[
        Any, doc("What is in it: text or bytes; lists and maps become JSON.", "a;b")
    ] = None
    name: Annotated[
        str | None, doc("What it is called in the message; by default as on disk.", "report.csv")
    ] = None
    type: Annotated[str | None, doc("Its type; by default what its name says.", "text/csv")] = None


class Send(Config, frozen=True, rename={"from_": "from"}):
    """A message."""

    to: Annotated[
        Addresses, doc("Who it is for: one address, or a list.", "ann@example.org", strict=True)
    ]
    subject: Annotated[str, doc("The subject, one line.", "Report of ${{ event.data.due }}")]
    text: Annotated[str | None, doc("The message as text.", "All is well.")] = None
    html: Annotated[str | None, doc("The message as HTML; beside text the better form.")] = None
    cc: Annotated[Addresses, doc("Who gets a copy.", strict=True)] = msgspec.field(
        default_factory=list
    )
    bcc: Annotated[Addresses, doc("Who gets a copy unseen.", strict=True)] = msgspec.field(
        default_factory=list
    )
    from_: Annotated[
        str | None, doc("Who sends it; else the connection's `from`.", "Shop <shop@example.org>")
    ] = None
    reply_to: Annotated[str | None, doc("Where answers go.", "help@example.org")] = None
    attach: Annotated[
        list[str | Attachment],
        doc("Files: paths, or {path, content, name, type}.", ["out/report.csv"], authored=True),
    ] = msgspec.field(default_factory=list)
    connection: Annotated[
        str | None, doc("The connection of kind smtp; may be left out if there is one.", "mail")
    ] = None


class Sent(TypedDict):
    """What was handed over."""

    message_id: Annotated[str, doc("The message's id, the same for every attempt.")]
    recipients: Annotated[list[str], doc("Every address that the server took it for.")]


def _complaints(written: Mapping[str, Any]) -> Iterable[Complaint]:
    """What is wrong with a message as written, beyond types."""
    if "text" not in written and "html" not in written:
        yield (), "a message has text, html or both"
    for field in ("to", "cc", "bcc"):
        value = written.get(field)
        if value == []:
            yield (field,), f"{field} names at least one address"
        if isinstance(value, str) and "," in value and "${{" not in value:
            parts = ", ".join(part.strip() for part in value.split(","))
            yield (field,), f"{field}: several addresses are a list: {field}: [{parts}]"
    for index, each in enumerate(written.get("attach") or ()):
        if isinstance(each, Mapping):
            if ("path" in each) == ("content" in each):
                yield ("attach", index), "an attachment has either path or content"
            elif "content" in each and "name" not in each:
                yield ("attach", index), "content needs a name: name: report.csv"


@action(
    "email.send",
    examples=[
        "email.send: {to: ann@example.org, subject: Backup failed, text: '${{ event.id }}'}",
        "email.send: {to: [ann@example.org], subject: Hi, html: <b>Hi</b>, attach: [a.csv]}",
    ],
    check=_complaints,
    timeout_secs=60.0,
)
async def send(config: Send, context: ActionContext) -> Sent:
    """Send a message through an SMTP server.

    All recipients get it or none: one that the server refuses fails the step. A failed connection
    and answers 4xx may be tried again; the message keeps its Message-ID, so that who gets it twice
    can tell.
    """
    server = _server(config, context)
    message, recipients = _message(config, server, context)
    await asyncio.to_thread(_attach, message, config.attach, context)
    envelope = Envelope(_bare(str(message["From"])), recipients, message.as_bytes(policy=SMTP))
    await deliver(server, envelope)
    return Sent(message_id=str(message["Message-ID"]), recipients=list(recipients))


def _server(config: Send, context: ActionContext) -> Server:
    try:
        connection = context.connection("smtp", config.connection)
    except NotFound as error:
        raise ActionFailed(str(error), kind="type") from error
    try:
        server: Server = decode(dict(connection.config), Server)
    except DecodeFailed as error:
        raise ActionFailed(f"connection {connection.name!r}: {error}", kind="type") from error
    return server


def _message(
    config: Send, server: Server, context: ActionContext
) -> tuple[EmailMessage, tuple[str, ...]]:
    message = EmailMessage(policy=SMTP)
    sender = config.from_ or server.from_
    if sender is None:
        raise ActionFailed("from: who sends it? write from: here or in the connection", kind="type")
    to, cc, bcc = (_listed(each) for each in (config.to, config.cc, config.bcc))
    if not to:
        raise ActionFailed("to names no address", kind="type")
    given = (("From", [sender]), ("To", to), ("Cc", cc), ("Reply-To", _listed(config.reply_to)))
    for name, texts in given:
        if texts:
            message[name] = [_address(text, name) for text in texts]
    try:
        message["Subject"] = config.subject
    except ValueError as error:
        raise ActionFailed(f"subject: {error}", kind="type") from error
    # Of the step's own key: every attempt sends the same message.
    digest = hashlib.sha256(context.key.encode()).hexdigest()[:32]
    message["Message-ID"] = f"<{digest}@{_bare(sender).rpartition('@')[2]}>"
    message["Date"] = format_datetime(instant(context.clock.now_ms()))
    if config.text is None and config.html is None:
        raise ActionFailed("a message has text, html or both", kind="type")
    if config.text is not None:
        message.set_content(config.text)
        if config.html is not None:
            message.add_alternative(config.html, subtype="html")
    else:
        message.set_content(config.html, subtype="html")
    for text in bcc:
        _address(text, "Bcc")
    return message, tuple(dict.fromkeys(_bare(text) for text in (*to, *cc, *bcc)))


def _listed(value: Addresses | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _address(text: str, field: str) -> Address:
    """Exactly one address; data cannot add a second one, nor a line."""
    try:
        if not text.strip().isprintable():
            raise ValueError("an address is one line")
        parsed: Any = _registry(field, text.strip())
        (group,) = parsed.groups
        (address,) = group.addresses
        if group.display_name is not None or parsed.defects or not address.domain:
            raise ValueError("it has no domain")
        domain = address.domain.encode("idna").decode()
        address.username.encode("ascii")
        return Address(address.display_name, address.username, domain)
    except (ValueError, IndexError, HeaderParseError) as error:
        message = f"{field.lower()}: {text[:100]!r} is not one address such as ann@example.org"
        raise ActionFailed(message, kind="type") from error


def _bare(text: str) -> str:
    return _address(text, "To").addr_spec


def _attach(
    message: EmailMessage, attached: list[str | Attachment], context: ActionContext
) -> None:
    size = 0
    for index, each in enumerate(attached):
        attachment = Attachment(path=each) if isinstance(each, str) else each
        place = f"attach.{index}" if isinstance(each, str) else f"attach.{index}.path"
        content = _content(attachment, context.authored.get(place, ""), context)
        size += len(content)
        if size > _MOST_ATTACHED:
            raise ActionFailed(
                f"attach: more than {format_size(_MOST_ATTACHED)}: send a link to it instead",
                kind="too_large",
            )
        name = attachment.name or (attachment.path or "").rpartition("/")[2]
        type_ = attachment.type or mimetypes.guess_type(name)[0] or _UNKNOWN
        main, slash, sub = type_.partition("/")
        if not slash or any(not each.isprintable() for each in type_ + name):
            raise ActionFailed(f"attach: {name!r} of type {type_!r} cannot be named", kind="type")
        message.add_attachment(content, maintype=main, subtype=sub, filename=name)


def _content(attachment: Attachment, authored: str, context: ActionContext) -> bytes:
    if (attachment.path is None) == (attachment.content is None):
        raise ActionFailed("attach: an attachment has either path or content", kind="type")
    if attachment.path is not None:
        with open_target(Wanted(attachment.path, authored), context.files) as target:
            return files.read(target)[0]
    content = attachment.content
    if isinstance(content, bytes):
        return content
    return content.encode() if isinstance(content, str) else msgspec.json.encode(content)
