"""The description of the API."""

import json
import re

import pytest

from reactor.web.admin.endpoints import ALL, PREFIX
from reactor.web.admin.openapi import document

DOCUMENT = json.loads(json.dumps(document("1")))


def references(value):
    """Every reference inside."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("endpoint", ALL, ids=lambda endpoint: endpoint.name)
def test_every_route_is_described(endpoint):
    """Each method of each path has an operation with a summary and an answer."""
    operation = DOCUMENT["paths"][PREFIX + endpoint.path][endpoint.method.lower()]

    assert operation["summary"]
    assert operation["operationId"] == endpoint.name
    assert operation["responses"]["200"]["content"]


def test_nothing_else_is_described():
    """The document has no path that the table lacks."""
    described = {
        (method, path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }

    assert described == {(each.method.lower(), PREFIX + each.path) for each in ALL}


def test_every_reference_leads_somewhere():
    """Each schema that is named is there."""
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}

    assert set(references(DOCUMENT)) <= schemas


def test_names_in_paths_are_parameters():
    """Each {name} of a path is a parameter of its operations."""
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_operations_have_names_of_their_own():
    """Client generators get one name for each operation."""
    names = [each.name for each in ALL]

    assert len(names) == len(set(names))


def test_filters_of_a_list_are_described():
    """The query of `runs` is part of the document, with its bounds."""
    operation = DOCUMENT["paths"][f"{PREFIX}/executions"]["get"]
    parameters = {each["name"]: each["schema"] for each in operation["parameters"]}

    assert set(parameters) == {"flow", "state", "event", "since", "where", "before", "limit"}
    assert parameters["limit"]["maximum"] == 1000
