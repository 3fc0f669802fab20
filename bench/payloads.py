"""Request bodies: the same numbers for every peer, in the form that each one speaks."""

import json
import random
from array import array

from bench.peers.base import Model, Request, Wire

BMI = 0.0616962065186885
# The first patient of the diabetes data: age, sex, bmi, bp, s1 … s6.
PATIENT = (
    0.038075906433423026, 0.05068011873981862, BMI, 0.0218723855140367, -0.04422349842444599,
    -0.03482076283769895, -0.04340084565202491, -0.002592261998183278, 0.019907486170462722,
    -0.01764612515980379,
)  # fmt: skip
FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
JSON = {"content-type": "application/json"}


def rows(model: Model) -> list[list[float]]:
    """The rows of one request: one number, ten numbers, or 1,000 × 10 of the data's own spread."""
    match model:
        case "linear":
            return [[BMI]]
        case "forest":
            return [list(PATIENT)]
        case "rows":
            chance = random.Random(20)
            return [[chance.gauss(0, 0.0476) for _ in range(10)] for _ in range(1000)]


def json_request(path: str, body: object) -> Request:
    return Request(path=path, body=json.dumps(body).encode(), headers=JSON)


def plain(path: str, model: Model, wire: Wire, *, field: str = "rows") -> Request | None:
    """`{"rows": [[…], …]}`, for the frameworks that leave the body to their user."""
    return json_request(path, {field: rows(model)}) if wire == "json" else None


def open_inference(path: str, model: Model, wire: Wire) -> Request:
    """The Open Inference Protocol v2: one tensor `x`, as JSON or with the binary tensor extension."""
    values = rows(model)
    flat = [value for row in values for value in row]
    tensor: dict[str, object] = {"name": "x", "shape": [len(values), len(values[0])], "datatype": "FP64"}
    if wire == "json":
        return json_request(path, {"inputs": [{**tensor, "data": flat}]})
    return _binary(path, tensor, array("d", flat).tobytes())


def _binary(path: str, tensor: dict[str, object], data: bytes) -> Request:
    described = {**tensor, "parameters": {"binary_data_size": len(data)}}
    body = {"inputs": [described], "parameters": {"binary_data_output": True}}
    head = json.dumps(body, separators=(",", ":")).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    return Request(path=path, body=head + data, headers=headers)
