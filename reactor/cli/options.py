"""Options that stand before or after any verb, and what they come to."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

_META = "reactor.options"
_INSTALLED = Path("/var/lib/reactor")
F = TypeVar("F", bound=Callable[..., Any])


class Common(NamedTuple):
    """What the common options say."""

    flows: Path
    state: Path
    config: Path | None
    json: bool
    given: frozenset[str]


def common(command: F) -> F:
    """Add the common options to a command, but for those that it declares itself."""
    own = {parameter.name for parameter in getattr(command, "__click_params__", [])}
    for name, option in reversed(_OPTIONS.items()):
        if name not in own:
            command = option(command)
    return command


def use_state_folder(path: str) -> None:
    """Take a value as the state folder, where `--state` has another meaning too."""
    click.get_current_context().find_root().meta.setdefault(_META, {})["state"] = path


def chosen() -> Common:
    """The common options of the command that runs; those after the verb win."""
    given: dict[str, Any] = click.get_current_context().find_root().meta.get(_META, {})
    environ = os.environ
    config = given.get("config") or environ.get("REACTOR_CONFIG")
    return Common(
        flows=Path(given.get("flows") or environ.get("REACTOR_FLOWS") or "flows"),
        state=Path(given.get("state") or environ.get("REACTOR_STATE") or _state()),
        config=Path(config) if config else None,
        json=bool(given.get("json")),
        given=frozenset(given),
    )


def _state() -> Path:
    here = Path("state")
    return _INSTALLED if not here.exists() and _INSTALLED.exists() else here


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name is not None:
        context.find_root().meta.setdefault(_META, {})[parameter.name] = value


def _option(name: str, text: str, **settings: Any) -> Callable[[F], F]:
    return click.option(name, callback=_keep, expose_value=False, help=text, **settings)


_FOLDER = click.Path(path_type=str)
_OPTIONS = {
    "flows": _option(
        "--flows", "The folder of flows.  [default: ./flows]", metavar="DIR", type=_FOLDER
    ),
    "state": _option(
        "--state", "The state folder.  [default: ./state]", metavar="DIR", type=_FOLDER
    ),
    "config": _option("--config", "The settings file.", metavar="FILE", type=_FOLDER),
    "json": _option("--json", "Print JSON, one object a line.", is_flag=True),
}
