"""A Ray Serve deployment, with or without its batching."""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"
# (the framework lives in the peer's own environment, where mypy does not look)

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
from ray import serve
from starlette.requests import Request

Array = np.ndarray[Any, np.dtype[np.float64]]
# Its default of five requests under way would never fill a batch.
deployment = serve.deployment(max_ongoing_requests=256, logging_config={"enable_access_log": False})


@deployment
class Plain:
    """One request at a time."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        body = await request.json()
        return {"answer": self.model.predict(np.asarray(body["rows"])).tolist()}


@deployment
class Batched:
    """Many requests, which may have many rows each, as one array."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def score(self, arrays: list[Array]) -> list[Array]:
        ends = np.cumsum([len(rows) for rows in arrays])[:-1]
        return np.split(self.model.predict(np.concatenate(arrays)), ends)

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        body = await request.json()
        answer = await self.score(np.asarray(body["rows"]))
        return {"answer": answer.tolist()}


def main() -> None:
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    served: Any = Batched if os.environ["BENCH_SETTING"] == "batching" else Plain
    serve.run(served.bind(), route_prefix="/")
    signal.pause()


if __name__ == "__main__":
    main()
