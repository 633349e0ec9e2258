"""reactor.yaml, the environment and the command line, as one frozen `Settings`."""

from reactor.settings.connections import ConnectionSettings, resolve_connection
from reactor.settings.read import load_settings
from reactor.settings.shape import Settings, describe_settings, split_address

__all__ = [
    "ConnectionSettings",
    "Settings",
    "describe_settings",
    "load_settings",
    "resolve_connection",
    "split_address",
]
