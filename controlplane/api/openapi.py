"""The OpenAPI document (3.1), made from the table of operations and the models.

The vendor's client reads it to find its kinds and runs: it takes paths as they stand here behind `/api`, dereferences
`required` of every parameter, and reads `type` of every field of a body that a run has.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from controlplane.api.documents import ApiProblem
from controlplane.api.errors import RETRY_SECONDS, TITLES
from controlplane.api.operations import PATH_PARAMETERS, Answer, Operation

_REF: Final = "#/components/schemas/{model}"

_ALWAYS: Final = {400: "The request is not valid; `cause` says what would be right", 500: "A mistake of zonegate's own"}
_WITH_KEY: Final = {
    401: "The API key is missing, or wrong",
    429: "Too many requests at once, or too many wrong keys from this address",
    503: "What is stored was not read yet",
}

_DESCRIPTION: Final = """\
Shares chosen topics of a Kafka cluster with partners, a zone for each.

Every call but those about health, versions and this document needs an API key: `Authorization: Bearer <API key>`.
Every path is also there under `/api`. Every answer that is no success has the form `{title, msg?, cause?}`.
"""


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole document, as JSON has it."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "zonegate", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}, {"url": "/api"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key"}},
        },
    }


def as_yaml(value: Mapping[str, Any]) -> str:
    return yaml.dump(value, Dumper=_WithoutAnchors, sort_keys=False, allow_unicode=True, width=120)


class _WithoutAnchors(yaml.SafeDumper):
    """Writes what is there twice twice; not every reader of OpenAPI knows YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _operation(operation: Operation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "operationId": operation.id,
    }
    if parameters := [*_path_parameters(operation.path), *_parameters(operation)]:
        entry["parameters"] = parameters
    if operation.body is not None:
        content = {"schema": _ref(operation.body.model), "example": operation.body.example}
        entry["requestBody"] = {"required": True, "content": {"application/json": content}}
    entry["responses"] = {str(operation.answer.status): _answer(operation.answer), **_problems(operation)}
    entry["security"] = [{"apiKey": []}] if operation.needs_key else []
    if operation.run is not None:
        name, help_text = operation.run
        entry |= {"x-cdk-run-version": "1", "x-cdk-run-name": name, "x-cdk-run-doc": help_text}
    return entry


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name, description in PATH_PARAMETERS.items():
        if f"{{{name}}}" in path:
            schema = {"type": "string", "minLength": 1}
            yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for each in operation.parameters:
        yield {
            "name": each.name,
            "in": each.place,
            "required": False,
            "description": each.description,
            "schema": dict(each.schema),
        }


def _answer(answer: Answer) -> dict[str, Any]:
    entry: dict[str, Any] = {"description": answer.description}
    if answer.etag:
        tag = {"type": "string", "examples": ['"3"']}
        entry["headers"] = {"ETag": {"description": "The zone's version, for If-Match", "schema": tag}}
    schema = _answer_schema(answer)
    if schema is not None:
        content: dict[str, Any] = {"schema": schema}
        if answer.example is not None:
            content["example"] = answer.example
        entry["content"] = {answer.media_type: content}
    return entry


def _answer_schema(answer: Answer) -> Mapping[str, Any] | None:
    if answer.model is not None:
        return _ref(answer.model)
    if answer.list_of is not None:
        return {"type": "array", "items": _ref(answer.list_of)}
    return answer.schema


def _problems(operation: Operation) -> dict[str, Any]:
    """What else may be answered, in the one form that there is."""
    told = _ALWAYS | (_WITH_KEY if operation.needs_key else {}) | dict(operation.problems)
    return {str(status): _problem(operation, status, told[status]) for status in sorted(told)}


def _problem(operation: Operation, status: int, description: str) -> dict[str, Any]:
    example = operation.problem_examples.get(status, {"title": TITLES[status]})
    content = {"schema": _ref(ApiProblem), "example": example}
    entry: dict[str, Any] = {"description": description, "content": {"application/json": content}}
    if status == 401:
        entry["headers"] = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
    if status in (429, 503):
        schema = {"type": "integer", "examples": [RETRY_SECONDS]}
        entry["headers"] = {"Retry-After": {"description": "Seconds", "schema": schema}}
    return entry


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    models: dict[type[BaseModel], None] = {ApiProblem: None}
    for operation in operations:
        sent = operation.body.model if operation.body is not None else None
        for model in (operation.answer.model, operation.answer.list_of, sent):
            if model is not None:
                models[model] = None
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas: dict[str, Any] = definitions["$defs"]
    for schema in schemas.values():
        _read_examples(schema)
    return dict(sorted(schemas.items()))


def _read_examples(schema: Any) -> None:
    """Models hold their examples as people write them in YAML; what is no text becomes what it means."""
    if isinstance(schema, dict):
        if "examples" in schema and not _is_text(schema):
            written: list[object] = schema["examples"]
            schema["examples"] = [yaml.safe_load(each) if isinstance(each, str) else each for each in written]
        for value in schema.values():
            _read_examples(value)
    elif isinstance(schema, list):
        for value in schema:
            _read_examples(value)


def _is_text(schema: Mapping[str, Any]) -> bool:
    return any(each.get("type") == "string" for each in (schema, *schema.get("anyOf", ())))
