"""The process that runs functions of modules beside the flows.

Started as a file, without the rest of Reactor; a frozen build starts itself with `__worker__` and
calls `main`. Calls come on stdin and answers go to stdout, each as four bytes of length and a
MessagePack map: `{folder, module, function, arguments}`, `{ok, value, error, printed}`.
"""

import asyncio
import contextlib
import importlib.util
import inspect
import io
import os
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import msgspec

LENGTH = struct.Struct(">I")

_LONGEST_PRINT = 64 * 1024
# What a frozen build needs to start, and what must not reach a child of a function.
_FROZEN = ("LD_LIBRARY_PATH", "LD_LIBRARY_PATH_ORIG", "PYINSTALLER_RESET_ENVIRONMENT")


class Modules:
    """The modules of one folder, imported once and again when a file of them changed."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, int]] = {}

    def find(self, folder: Path, name: str) -> ModuleType:
        """The module of a name; ImportError if the folder has none."""
        if str(folder) not in sys.path:
            # Last, so that a `json.py` beside the flows does not replace the library's.
            sys.path.append(str(folder))
        self._forget_changed(folder)
        path = folder.joinpath(*name.split("."))
        file = path.with_suffix(".py")
        file = file if file.is_file() else path / "__init__.py"
        if name in sys.modules and _file_of(sys.modules[name]) == file:
            return sys.modules[name]
        if not file.is_file():
            raise ImportError(f"no module {name!r} in {folder}")
        return _load(name, file)

    def note(self, folder: Path) -> None:
        """Remember the files of all modules that the folder gave so far."""
        for file in _loaded_from(folder).values():
            self._seen.setdefault(file, _mark(file))

    def _forget_changed(self, folder: Path) -> None:
        """Drop all modules of the folder when one of them changed: they may use each other."""
        if any(_mark(file) != mark for file, mark in self._seen.items()):
            self._seen.clear()
            importlib.invalidate_caches()
            for name in _loaded_from(folder):
                del sys.modules[name]


def main() -> None:
    """Answer calls until stdin ends."""
    for name in list(os.environ):
        if name in _FROZEN or name.startswith("_PYI_"):
            del os.environ[name]
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a function prints around us must not look like an answer.
    os.dup2(2, 1)
    # An edit within the same second would find the old bytecode; and the folder stays as it is.
    sys.dont_write_bytecode = True
    modules = Modules()
    while (call := _received(calls)) is not None:
        answer = msgspec.msgpack.encode(_answered(call, modules))
        answers.write(LENGTH.pack(len(answer)) + answer)
        answers.flush()


def _answered(call: dict[str, Any], modules: Modules) -> dict[str, Any]:
    printed = io.StringIO()
    answer: dict[str, Any] = {"ok": False}
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            value = _value(_function(call, modules), call["arguments"])
            msgspec.msgpack.encode(value)
            answer = {"ok": True, "value": value}
        except BaseException as error:  # noqa: BLE001  also SystemExit is only a failed call
            answer["error"] = _described(error)
        modules.note(Path(call["folder"]))
    answer["printed"] = printed.getvalue()[:_LONGEST_PRINT]
    return answer


def _function(call: dict[str, Any], modules: Modules) -> Callable[..., Any]:
    module = modules.find(Path(call["folder"]), call["module"])
    function: Callable[..., Any] | None = getattr(module, call["function"], None)
    if function is None:
        raise ImportError(f"module {call['module']!r} has no function {call['function']!r}")
    return function


def _value(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    value = function(**arguments)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def _described(error: BaseException) -> str:
    """`ZeroDivisionError: division by zero (billing.py:12 in total)`."""
    text = traceback.format_exception_only(error)[-1].strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(frame)]
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})"


def _is_foreign(frame: traceback.FrameSummary) -> bool:
    return frame.filename != __file__ and not frame.filename.startswith("<frozen")


def _load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no module")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _loaded_from(folder: Path) -> dict[str, Path]:
    return {
        name: file
        for name, module in list(sys.modules.items())
        if (file := _file_of(module)) is not None and file.is_relative_to(folder)
    }


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file)


def _mark(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _received(calls: BinaryIO) -> dict[str, Any] | None:
    head = calls.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    call: dict[str, Any] = msgspec.msgpack.decode(calls.read(LENGTH.unpack(head)[0]))
    return call


if __name__ == "__main__":
    main()
