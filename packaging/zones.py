"""Runs first in the frozen `reactor`: time zones come from one file beside the libraries."""

import sys

sys.path.append(f"{sys._MEIPASS}/zones.zip")  # type: ignore[attr-defined]  # noqa: SLF001 (PyInstaller's name)
