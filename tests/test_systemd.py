"""What systemd hears."""

import os
import socket
from pathlib import Path

import pytest

from reactor.systemd import Systemd

UNIT = Path(__file__).parent.parent / "packaging" / "reactor.service"


class Hand:
    """A clock turned by hand."""

    def now_ms(self) -> int:
        return 0

    def monotonic_secs(self) -> float:
        return 12.5


@pytest.fixture
def listener(tmp_path):
    """A socket as systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(5)
        yield heard


def told(listener: socket.socket, **environ: str) -> Systemd:
    """A Systemd that talks to the listener."""
    return Systemd({"NOTIFY_SOCKET": listener.getsockname(), **environ}, Hand())


def test_every_message_has_systemds_own_words(listener):
    """Ready, status, reload with its moment, watchdog and stopping."""
    systemd = told(listener)
    systemd.ready("serving 3 flows")
    systemd.reloading()
    systemd.status("one\nline")
    systemd.watchdog()
    systemd.stopping()

    assert [listener.recv(1000).decode() for _ in range(5)] == [
        "READY=1\nSTATUS=serving 3 flows",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "STATUS=one line",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached():
    """A name that begins with @ has no file."""
    name = f"reactor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + name)
        heard.settimeout(5)

        Systemd({"NOTIFY_SOCKET": "@" + name}, Hand()).watchdog()

        assert heard.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_systemd_nothing_happens(environ):
    """No socket, or one that nobody listens on, is no error."""
    Systemd(environ, Hand()).ready()


def test_a_full_socket_does_not_block(listener):
    """When systemd does not read, messages are lost and the daemon goes on."""
    systemd = told(listener)

    for _ in range(5000):
        systemd.watchdog()

    assert listener.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "secs"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_due_twice_in_its_span_and_only_for_this_process(listener, environ, secs):
    """A child that inherits the variables does not answer for its parent."""
    assert told(listener, **environ).watchdog_secs == secs


@pytest.mark.parametrize(
    "line",
    [
        (
            "ExecStart=/opt/reactor/reactor run --flows /etc/reactor/flows "
            "--state /var/lib/reactor --config /etc/reactor/reactor.yaml"
        ),
        "Type=notify",
        "WatchdogSec=30s",
        "Restart=always",
        "RestartPreventExitStatus=2 3 78",
        "DynamicUser=yes",
        "StateDirectory=reactor",
        "StateDirectoryMode=0700",
        "UMask=0077",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        "SystemCallArchitectures=native",
        "PrivateDevices=yes",
        "PrivateMounts=yes",
        "PrivateTmp=yes",
        "PrivateUsers=yes",
        "ProtectProc=invisible",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
    ],
)
def test_the_unit_runs_the_folder_build_watched_restarted_and_locked_down(line):
    """How it runs, and each rule that `systemd-analyze security` counts, is there."""
    assert line in UNIT.read_text().splitlines()
