"""granian's RSGI: a constant, and `predict` in the handler with no framework between."""
# mypy: disable-error-code="import-untyped"
# (scikit-learn and its pickles carry no types)

import os
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

CONSTANT = b'{"answer":[152.1]}'
HEADERS = [("content-type", "application/json")]


class Rows(msgspec.Struct):
    """What comes in."""

    rows: list[list[float]]


decoder = msgspec.json.Decoder(Rows)
encoder = msgspec.json.Encoder()


async def constant(scope: Any, protocol: Any) -> None:
    protocol.response_bytes(200, HEADERS, CONSTANT)


def predicting() -> Any:
    model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())

    async def predict(scope: Any, protocol: Any) -> None:
        body = decoder.decode(await protocol())
        answer = model.predict(np.asarray(body.rows))
        protocol.response_bytes(200, HEADERS, encoder.encode({"answer": answer.tolist()}))

    return predict


app = constant if os.environ["BENCH_SETTING"] == "constant" else predicting()
