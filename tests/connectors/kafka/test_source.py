"""The kafka source against a real Kafka."""

import pytest

from tests.connectors.kafka.conftest import reading

pytestmark = pytest.mark.broker


async def test_records_start_flows(topic):
    """Each record is an event, in the order of its partition, and what is stored is committed."""
    await topic.send({"id": 1}, {"id": 2})

    async with reading(topic.config()) as source:
        assert await source.data(2) == [{"id": 1}, {"id": 2}]

    assert await topic.committed() == 2
