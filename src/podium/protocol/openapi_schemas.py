"""JSON Schemas (2020-12) of an endpoint's rows and of what surrounds them in bodies."""

from __future__ import annotations

from typing import Any

from podium.protocol.oip_tensors import DATATYPES, OF_KIND
from podium.protocol.outcomes import ID
from podium.schema import Field, Kind, Schema

JsonSchema = dict[str, Any]

STRING: JsonSchema = {"type": "string"}
TIME: JsonSchema = {"type": "string", "format": "date-time"}
REQUEST_ID: JsonSchema = {"type": "string", "pattern": ID, "description": "A request's id."}
_TYPES: dict[Kind, JsonSchema] = {
    Kind.FLOAT: {"type": "number", "format": "double"},
    Kind.INT: {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1},
    Kind.BOOL: {"type": "boolean"},
    Kind.STRING: {"type": "string"},
}
_NO_NUMBER: dict[Kind, Any] = {Kind.FLOAT: 0.5, Kind.INT: 1, Kind.BOOL: True, Kind.STRING: "text"}


def row(schema: Schema) -> JsonSchema:
    """One row: every field by name, and nothing else."""
    found = record({field.name: value(field) for field in schema.fields})
    found["required"] = [field.name for field in schema.fields if not field.optional]
    return found | {"examples": [example_row(schema)]}


def rows_or_row(name: str) -> JsonSchema:
    """One of a component, or a list of them."""
    return {"anyOf": [ref(name), {"type": "array", "items": ref(name), "minItems": 1}]}


def value(field: Field) -> JsonSchema:
    """One field's value in a row: a scalar, or lists in lists for a tensor."""
    found = dict(_TYPES[field.type])
    if field.missing:
        found["type"] = [found["type"], "null"]
    for size in reversed(field.shape):
        found = {"type": "array", "items": found}
        if size >= 0:
            found |= {"minItems": size, "maxItems": size}
    if field.optional:
        found["default"] = field.default
    if description := _description(field):
        found["description"] = description
    return found


def _description(field: Field) -> str:
    parts = []
    if field.minimum is not None and field.maximum is not None:
        parts.append(f"Training saw {field.minimum:g} to {field.maximum:g}; others are taken too.")
    if field.missing:
        parts.append("null is a missing value.")
    if field.classes:
        parts.append(f"Classes: {', '.join(field.classes)}.")
    return " ".join(parts)


def example_row(schema: Schema) -> dict[str, Any]:
    return {field.name: example(field) for field in schema.fields if not field.optional}


def example(field: Field) -> Any:
    """A value in the middle of what training saw."""
    found = _scalar_example(field)
    for size in reversed(field.shape):
        found = [found] * (size if size >= 0 else 1)
    return found


def _scalar_example(field: Field) -> Any:
    if field.minimum is None or field.maximum is None:
        return _NO_NUMBER[field.type]
    middle = (field.minimum + field.maximum) / 2
    match field.type:
        case Kind.FLOAT:
            return float(f"{middle:.4g}")
        case Kind.INT:
            return int(middle)
        case _:
            return _NO_NUMBER[field.type]


# --- outcomes -------------------------------------------------------------------------------


def outcome_schemas(outputs: Schema) -> dict[str, JsonSchema]:
    """`Truth`: what is known of the outputs of one row; and what is around it."""
    number = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 0}
    time = TIME | {"type": ["string", "null"]}
    one = record({"id": REQUEST_ID, "outcome": ref("Truth"), "row": number, "observed": time})
    count = {"type": "integer", "minimum": 0}
    return {
        "Truth": row(outputs) | {"required": [], "minProperties": 1},
        "Outcome": record({"id": REQUEST_ID, "outcome": rows_or_row("Truth"), "observed": TIME}),
        "OutcomeOf": one | {"required": ["id", "outcome"]},
        "Outcomes": record({"outcomes": count, "unchecked": count}),
    }


# --- Open Inference Protocol ----------------------------------------------------------------


def infer_request(inputs: Schema, outputs: Schema) -> JsonSchema:
    """JSON Schema cannot say that data fills its shape, nor that all inputs have as many rows."""
    tensors = {"type": "array", "items": {"anyOf": [_input(field) for field in inputs.fields]}, "minItems": 1}
    wanted = _open({"name": {"enum": list(outputs.names)}, "parameters": _parameters("binary_data")}, "name")
    found = _open(
        {
            "id": STRING,
            "inputs": tensors,
            "outputs": {"type": "array", "items": wanted},
            "parameters": _parameters("binary_data_output"),
        },
        "inputs",
    )
    return found | {"examples": [_infer_example(inputs)]}


def _input(field: Field) -> JsonSchema:
    fits = [name for name, datatype in DATATYPES.items() if field.type in datatype.fits]
    ranks = {len(field.shape) + 1} if field.shape else {1, 2}
    dimension = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
    return _open(
        {
            "name": {"const": field.name},
            "datatype": {"enum": fits},
            "shape": {"type": "array", "items": dimension, "minItems": min(ranks), "maxItems": max(ranks)},
            "data": {"type": "array", "description": "Row-major: flat, or nested like the shape."},
        },
        "name",
        "datatype",
        "shape",
        "data",
    )


def _infer_example(inputs: Schema) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": field.name,
                "datatype": OF_KIND[field.type],
                "shape": [1, *(max(size, 1) for size in field.shape)],
                "data": [example(field)],
            }
            for field in inputs.fields
            if not field.optional
        ]
    }


def infer_reply(outputs: Schema) -> JsonSchema:
    tensors = [
        _open(
            {
                "name": {"const": field.name},
                "datatype": {"const": OF_KIND[field.type]},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "data": {"type": "array"},
                "parameters": _open({"binary_data_size": {"type": "integer"}}),
            },
            "name",
            "datatype",
            "shape",
        )
        for field in outputs.fields
    ]
    return _open(
        {
            "model_name": STRING,
            "model_version": STRING | {"description": "MODEL@VERSION; none for the default answer."},
            "id": STRING,
            "parameters": record({"rule": STRING, "ms": {"type": "number"}}),
            "outputs": {"type": "array", "items": {"anyOf": tensors}},
        },
        "model_name",
        "id",
        "parameters",
        "outputs",
    )


def tensor_metadata() -> JsonSchema:
    shape = {"type": "array", "items": {"type": "integer", "minimum": -1}}
    return record({"name": STRING, "datatype": {"enum": list(DATATYPES)}, "shape": shape})


def _parameters(name: str) -> JsonSchema:
    return _open({name: {"type": "boolean"}})


# --- building blocks ------------------------------------------------------------------------


def record(properties: dict[str, JsonSchema]) -> JsonSchema:
    """An object with exactly these members."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _open(properties: dict[str, JsonSchema], *required: str) -> JsonSchema:
    """An object that may have further members, as the protocol's objects may."""
    return {"type": "object", "properties": properties, "required": list(required)}


def ref(name: str, kind: str = "schemas") -> JsonSchema:
    return {"$ref": f"#/components/{kind}/{name}"}
