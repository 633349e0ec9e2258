"""Settings and flow files read as the daemon reads them, without one."""

import os
from collections.abc import Iterable
from pathlib import Path

from reactor.cli.options import chosen
from reactor.errors import BadConfig, InvalidFlow, NotFound
from reactor.loading.load import (
    Loaded,
    Loading,
    file_of_tests,
    files_of_tests,
    flow_file,
    flow_files,
    is_tests_file,
    load_bytes,
    load_tests,
)
from reactor.model.flow import Flow
from reactor.plugin.catalog import Catalog
from reactor.plugin.dropin import load_plugins
from reactor.settings import Settings, load_settings


def read_settings() -> Settings:
    """The settings of the command line, the environment and reactor.yaml."""
    options = chosen()
    overrides = {name: str(getattr(options, name)) for name in ("flows", "state")}
    try:
        return load_settings(config=options.config, environ=os.environ, overrides=overrides)
    except BadConfig as error:
        # Only at the daemon's start is it 78; here it is one more file that does not load.
        raise InvalidFlow(str(error)) from error


def read_catalog() -> Catalog:
    """Every word: ours and those of the plugins."""
    return Catalog(load_plugins(read_settings().plugins.dir))


def read_loading() -> Loading:
    """What flows are checked against here: the words, the defaults, the environment."""
    settings = read_settings()
    return Loading(
        catalog=Catalog(load_plugins(settings.plugins.dir)),
        defaults=settings.defaults_for_flows(),
        env=frozenset(settings.env),
    )


def read_files(
    paths: Iterable[Path], *, loading: Loading | None = None, tests: bool = False
) -> list[Loaded]:
    """Flow files, also those below folders, under the names by which they were asked for.

    With `tests` the files with tests beside them follow them; one of these may be asked for alone.
    """
    loading = loading or read_loading()
    found: dict[Path, Loaded] = {}
    for path in paths:
        if not path.exists():
            raise NotFound(f"there is no file or folder {path}")
        files = flow_files(path) if path.is_dir() else [path]
        files += files_of_tests(path) if tests and path.is_dir() else []
        for file in files:
            if tests and is_tests_file(file):
                _read_beside(file, loading, found)
                continue
            loaded = load_bytes(_content(file), str(file), loading)
            found.setdefault(file.absolute(), loaded)
            beside = file_of_tests(file) if tests else None
            if beside is not None and not path.is_dir():
                _read_beside(beside, loading, found)
    return list(found.values())


def _read_beside(file: Path, loading: Loading, found: dict[Path, Loaded]) -> None:
    """Read a file of tests, about the flows of the file beside it."""
    about = flow_file(file)
    flows = found.get(about.absolute())
    if flows is None and about.is_file():
        flows = load_bytes(_content(about), str(about), loading)
        if flows.failed:
            found[about.absolute()] = flows
    if flows is not None and flows.failed:
        return  # its own problems come first
    known = () if flows is None else flows.flows
    found.setdefault(file.absolute(), load_tests(_content(file), str(file), known, loading))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidFlow(f"{file} cannot be read: {error.strerror}") from error


def read_flow(name: str) -> Flow:
    """A flow of the flows folder by its name."""
    folder = chosen().flows
    loaded = read_files([folder])
    flows = {flow.name: flow for each in loaded for flow in each.flows}
    if name in flows:
        return flows[name]
    broken = [each.file for each in loaded if each.failed]
    if broken:
        raise InvalidFlow(
            f"no flow that loads is called {name!r}, but {', '.join(broken)} does not load:"
            " `reactor check` says why"
        )
    from difflib import get_close_matches

    near = get_close_matches(name, flows, 1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(flows) or 'no flows'}"
    raise NotFound(f"no flow in {folder} is called {name!r}; {hint}")
