"""Plugins of users: files in a folder, and packages with the entry point of our group."""

import importlib.util
import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from reactor.plugin.catalog import ACTIONS, SOURCES, specs_of
from reactor.plugin.spec import Spec

GROUP = "reactor.connectors"
_LOG = logging.getLogger("reactor.plugins")


def load_plugins(folder: Path) -> list[Spec]:
    """The Specs of all plugins; one that does not load is said and left out."""
    found: list[Spec] = []
    for file in sorted(folder.glob("*.py")) if folder.is_dir() else []:
        if not file.name.startswith("_"):
            found += _specs(str(file), lambda file=file: _from_file(file))
    for point in entry_points(group=GROUP):
        found += _specs(point.value, point.load)
    return found


def _specs(name: str, load: object) -> list[Spec]:
    try:
        module = load() if callable(load) else load
    except Exception as error:  # noqa: BLE001 - a plugin is someone else's code
        facts = {"plugin": name, "error": f"{type(error).__name__}: {error}"}
        _LOG.error("a plugin does not load; its words are unknown", extra=facts)
        return []
    found = specs_of(module) if isinstance(module, ModuleType) else []
    if not found:
        _LOG.warning("a plugin declares no source and no action", extra={"plugin": name})
    taken = [spec for spec in found if spec.word in (SOURCES if spec.kind == "source" else ACTIONS)]
    for spec in taken:
        facts = {"plugin": name, "word": spec.word}
        _LOG.error("a plugin may not take a built-in word; choose another", extra=facts)
    return [spec for spec in found if spec not in taken]


def _from_file(file: Path) -> ModuleType:
    name = f"reactor_plugins.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
