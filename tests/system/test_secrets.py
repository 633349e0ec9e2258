"""Secrets in a running daemon: used, rotated, and nowhere to be found."""

import base64
import hashlib
import hmac
import json
from typing import Any

from tests.system.conftest import eventually

OLD = "s3cret-of-the-old-days"
NEW = "s3cret-of-the-new-days"
FLOW = """
flow: guarded
when:
  http:
    path: /guarded
    verify: {{hmac: {{header: x-signature, secrets: ["${{{{ secrets.hook }}}}"]}}}}
do:
  - id: tell
    http:
      post: "{url}/tell?token=${{{{ secrets.token }}}}"
      headers: {{Authorization: "Bearer ${{{{ secrets.token }}}}"}}
      json: {{text: "${{{{ event.body.text }}}}"}}
"""


def signed(daemon: Any, secret: str) -> Any:
    """A request with the signature of a secret."""
    body = json.dumps({"text": "hi"}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return daemon.request(
        "POST", "/guarded", body, Content_Type="application/json", X_Signature=signature
    )


def test_a_failing_step_shows_no_secret(daemon: Any, sink: Any) -> None:
    """The bytes of a secret are in no file of the state folder, no log line, no answer."""
    daemon.secret("hook", OLD)
    daemon.secret("token", NEW)
    daemon.flow("guarded", FLOW.format(url=sink.url))
    sink.answers = [400]
    daemon.start()
    accepted = signed(daemon, OLD)
    assert accepted.status == 202

    shown = daemon.ended(accepted.json["execution"])
    dead = daemon.api.get("dead")
    events = daemon.api.get("events")
    sources = daemon.api.get("sources")
    daemon.stop()

    assert shown["state"] == "failed"
    assert NEW in sink.heard[0][1]["authorization"]
    told = json.dumps([shown, dead, events, sources])
    texts = [told.encode(), daemon.log.read_bytes()]
    texts += [file.read_bytes() for file in daemon.state.rglob("*") if file.is_file()]
    for secret in (OLD.encode(), NEW.encode()):
        for form in (secret, base64.b64encode(secret), secret.hex().encode()):
            assert not any(form in text for text in texts)


def test_secrets_rotate_without_a_restart(daemon: Any, sink: Any) -> None:
    """A changed file is used by the next step at once, by `verify` within seconds."""
    daemon.secret("hook", OLD)
    daemon.secret("token", OLD)
    daemon.flow("guarded", FLOW.format(url=sink.url))
    daemon.start()
    daemon.ended(signed(daemon, OLD).json["execution"])

    daemon.secret("token", NEW)
    daemon.secret("hook", NEW)
    eventually(lambda: signed(daemon, NEW).status == 202, "the new secret counts")
    daemon.at_rest()

    assert signed(daemon, OLD).status == 401
    tokens = [headers["authorization"] for _, headers, _ in sink.heard]
    assert (tokens[0], tokens[-1]) == (f"Bearer {OLD}", f"Bearer {NEW}")


def test_a_secret_that_is_missing_is_said(daemon: Any, sink: Any) -> None:
    """A source without its secret says where it looked and serves once it is there."""
    daemon.secret("token", OLD)
    daemon.flow("guarded", FLOW.format(url=sink.url))
    daemon.start()
    (source,) = daemon.api.get("sources")["items"]
    assert signed(daemon, OLD).status == 404
    assert "secrets/hook" in source["detail"]

    daemon.secret("hook", OLD)

    eventually(lambda: signed(daemon, OLD).status == 202, "the secret is found")


def test_secrets_of_a_program(daemon: Any, sink: Any) -> None:
    """`secrets.exec` is asked for what no file has; its answers are kept and renewed."""
    asked = daemon.folder / "asked"
    program = daemon.folder / "vault"
    program.write_text(f"#!/bin/sh\necho $1 >> {asked}\nprintf 'the-secret-%s' $1\n")
    program.chmod(0o700)
    (daemon.folder / "reactor.yaml").write_text(f"secrets: {{exec: {{args: [{program}]}}}}\n")
    daemon.flow("guarded", FLOW.format(url=sink.url))
    daemon.start()

    daemon.ended(signed(daemon, "the-secret-hook").json["execution"])

    assert sink.heard[0][1]["authorization"] == "Bearer the-secret-token"
    assert sorted(asked.read_text().split()) == ["hook", "token"]
