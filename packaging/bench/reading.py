"""Loading many flows for the first time, beside the YAML parser alone."""

import time
from pathlib import Path

from ruamel.yaml import YAML

from measure import Row, Size, interleaved
from reactor.loading.load import Loading, load_folder
from reactor.plugin.catalog import Catalog
from starting import FLOW

LIMIT_MS = 10.0


def rows(size: Size, folder: Path) -> list[Row]:
    """Milliseconds a flow, each in a file of its own."""
    texts = [FLOW.format(number=number) for number in range(size.flows_to_load)]
    for number, text in enumerate(texts):
        (folder / f"orders-{number}.yaml").write_text(text)

    def ours() -> float:
        began = time.perf_counter()
        loaded = load_folder(folder, Loading(catalog=Catalog()))
        secs = time.perf_counter() - began
        if sum(len(file.flows) for file in loaded.values()) != len(texts):
            raise AssertionError("every file has a flow")
        return secs / len(texts) * 1000

    def theirs() -> float:
        began = time.perf_counter()
        for text in texts:
            for _ in YAML(typ="safe", pure=True).parse(text):
                pass
        return (time.perf_counter() - began) / len(texts) * 1000

    found, beside = interleaved(min(size.rounds, 3), ours, theirs)
    return [
        Row(
            key="reading",
            what=f"loading {len(texts):,} flows cold, a flow",
            unit="ms",
            measured=found,
            reference="the YAML parser alone",
            beside=beside,
            figure=found.median,
            aim=f"< {LIMIT_MS:g} ms",
            passed=found.median < LIMIT_MS,
            facts={"lines_a_flow": FLOW.count("\n")},
        )
    ]
