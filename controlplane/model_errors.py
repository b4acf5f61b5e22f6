"""What pydantic found wrong, in words that say what would be right.

Fields declared with `repr=False` hold secrets: their values are never repeated, nor what stands in place of their
section.
"""

import types
import typing
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from controlplane.problems import Path, did_you_mean


def violations(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """Each error of a validation of `model`: where, and what to do about it."""
    for details in error.errors():
        path = details["loc"]
        yield path, _message(details, model, path)


def fields_by_name(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields under the names that files use."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def submodel(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation such as `Model`, `Model | None` or `list[Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        found = (submodel(argument) for argument in typing.get_args(annotation))
        return next((model for model in found if model is not None), None)
    return None


def _message(details: ErrorDetails, model: type[BaseModel], path: Path) -> str:
    field = _field_at(model, path)
    value = _SECRET if _is_secret(model, path) else details["input"]
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is missing; add it" + _example(model, path)
        case "extra_forbidden":
            return _unknown_field(model, path)
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return _one_of(value, str(context["expected"]))
        case "greater_than":
            return f"{value} is too small; use a number greater than {_number(context['gt'])}"
        case "greater_than_equal":
            return f"{value} is too small; use {_number(context['ge'])} or more"
        case "less_than_equal":
            return f"{value} is too large; use {_number(context['le'])} or less"
        case "too_short":
            return "needs at least one entry" + _example(model, path)
    optional = field is None or not field.is_required()
    wrong = _wrong_type(details["type"], value, optional) or details["msg"]
    return wrong + _example(model, path) if details["type"].startswith("int_") else wrong


def _is_secret(model: type[BaseModel], path: Path) -> bool:
    """A secret, or something in the place of a section that holds one, which may be the secret itself."""
    field, section = _field_at(model, path), _model_at(model, path)
    inside = section.model_fields.values() if section is not None else ()
    return not all(each.repr for each in (*inside, *([field] if field is not None else [])))


_TYPE_HINTS = {
    "string": "write text here, in quotes if it looks like a number",
    "int": "write a whole number",
    "float": "write a number",
    "bool": "write true or false",
    "finite": "write a number",
    "list": "write a list here, each entry on a line that starts with '- '",
    "tuple": "write a list here, each entry on a line that starts with '- '",
    "model": "write 'name: value' lines here",
    "dict": "write 'name: value' lines here",
}


class _Secret:
    def __repr__(self) -> str:
        return "the value"


_SECRET = _Secret()


def _wrong_type(error_type: str, value: object, optional: bool) -> str | None:
    wanted = error_type.partition("_")[0]
    if wanted not in _TYPE_HINTS:
        return None
    if value is None:
        return f"is empty; {_TYPE_HINTS[wanted]}" + (" or remove the field" if optional else "")
    if wanted == "string" and isinstance(value, bool | int | float):
        return f"{_shown(value)} is {_kind(value)} and text is needed; put it in quotes"
    if isinstance(value, dict | list):
        return f"{_kind(value)} does not fit; {_TYPE_HINTS[wanted]}"
    return f"{_shown(value)} does not fit; {_TYPE_HINTS[wanted]}"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "a group of fields"


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _number(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _one_of(value: object, expected: str) -> str:
    words = [word for word in expected.replace(" or ", ", ").replace("'", "").split(", ") if word]
    choice = f"write {words[0]}" if len(words) == 1 else f"use one of {', '.join(words)}"
    return f"{_shown(value)} is not known here; {choice}"


def _unknown_field(model: type[BaseModel], path: Path) -> str:
    owner = _model_at(model, path[:-1])
    known = fields_by_name(owner) if owner else {}
    if meant := did_you_mean(str(path[-1]), known):
        return f"unknown field; did you mean {meant}?"
    return f"unknown field; known here: {', '.join(known)}"


def _example(model: type[BaseModel], path: Path) -> str:
    field = _field_at(model, path)
    if field is None or not field.examples:
        return ""
    return f", for example '{path[-1]}: {field.examples[0]}'"


def _field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    owner = _model_at(model, path[:-1])
    return fields_by_name(owner).get(str(path[-1])) if owner and path else None


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that holds the fields at this place."""
    found: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue  # a list's entries are of the model that its annotation names
        field = fields_by_name(found).get(step) if found else None
        found = submodel(field.annotation) if field else None
    return found
