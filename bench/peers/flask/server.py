"""The workshop's service: the pickle is loaded at each request."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-any-return"
# (the framework lives in the peer's own environment, where mypy does not look)

import os
import pickle

import numpy as np
from flask import Flask, request

app = Flask(__name__)


@app.post("/score")
def score() -> dict[str, list[float]]:
    with open(os.environ["BENCH_MODEL"], "rb") as file:
        model = pickle.load(file)
    answer = model.predict(np.asarray(request.get_json()["rows"]))
    return {"answer": answer.tolist()}
