"""What starting the command line loads."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The libraries of brokers and databases: a flow that names one loads it, nothing else does.
HEAVY = {
    "aiokafka",
    "aiomqtt",
    "nats",
    "paho",
    "psycopg",
    "pymysql",
    "pymysqlreplication",
    "redis",
}


@pytest.mark.slow
def test_the_command_line_loads_no_broker_library():
    """`import reactor.cli` pulls nothing that only some flows need."""
    script = "import reactor.cli, sys; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert HEAVY & set(loaded) == set()
    assert "reactor" in loaded
