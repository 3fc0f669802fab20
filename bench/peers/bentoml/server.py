"""A BentoML service, with or without its adaptive batching."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-any-return"
# (the framework lives in the peer's own environment, where mypy does not look)

import os
import pickle
from pathlib import Path

import bentoml
import numpy as np

BATCHING = os.environ["BENCH_SETTING"] == "batching"
# A request of 1,000 rows counts as 1,000 here: the batch has to have room for some of them.
MOST_ROWS = 32_000


@bentoml.service(traffic={"timeout": 30, "max_concurrency": 1024}, metrics={"enabled": False})
class Score:
    """The model, loaded once."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())

    @bentoml.api(route="/score", batchable=BATCHING, max_batch_size=MOST_ROWS, max_latency_ms=1000)
    def score(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict(rows)
