"""The OpenAPI 3.1 document, made from the route table and its structs."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from reactor.web.admin.asked import Endpoint
from reactor.web.admin.endpoints import ALL, PREFIX
from reactor.web.admin.wire import Happening, ProblemDetails

_REFERENCE = "#/components/schemas/{name}"
_PROBLEM = "application/problem+json"


def document(version: str, endpoints: Sequence[Endpoint] = ALL) -> dict[str, Any]:
    """The whole description, as plain data."""
    types: list[Any] = [ProblemDetails, Happening]
    for each in endpoints:
        types += [type_ for type_ in (each.body, each.answers) if isinstance(type_, type)]
    unique = list(dict.fromkeys(types))
    _, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for each in endpoints:
        paths.setdefault(PREFIX + each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Reactor", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", endpoint.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.about,
        "parameters": parameters + _query(endpoint.query),
        "responses": {
            "200": {"description": "Done.", "content": _content(endpoint.answers)},
            "default": {
                "description": "Refused; the detail says why and what to do.",
                "content": {_PROBLEM: {"schema": _schema(ProblemDetails)}},
            },
        },
    }
    if endpoint.body is not None:
        needed = any(field.required for field in msgspec.structs.fields(endpoint.body))
        operation["requestBody"] = {"required": needed, "content": _content(endpoint.body)}
    return operation


def _query(asked: Any) -> list[dict[str, Any]]:
    if asked is None:
        return []
    (_,), found = msgspec.json.schema_components([asked], ref_template=_REFERENCE)
    required = found[asked.__name__].get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in found[asked.__name__]["properties"].items()
    ]


def _content(answers: Any) -> dict[str, Any]:
    if isinstance(answers, str):
        media = answers.partition(";")[0]
        return {media: {"schema": {"type": "object" if media.endswith("json") else "string"}}}
    return {"application/json": {"schema": _schema(answers)}}


def _schema(type_: Any) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=type_.__name__)}
