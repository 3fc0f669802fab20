"""FastAPI as its documentation shows it: typed body, typed answer, the model loaded once."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,misc"
# (the framework lives in the peer's own environment, where mypy does not look)

import os
import pickle
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())


class Rows(BaseModel):
    """What comes in."""

    rows: list[list[float]]


class Answer(BaseModel):
    """What goes out."""

    answer: list[float]


# `async` keeps the call on the event loop: a thread for each call is slower for a model this small.
@app.post("/score")
async def score(body: Rows) -> Answer:
    return Answer(answer=model.predict(np.asarray(body.rows)).tolist())
