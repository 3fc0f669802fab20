"""A LitServe API, with or without its batching."""
# mypy: disable-error-code="import-not-found,import-untyped,misc"
# (the framework lives in the peer's own environment, where mypy does not look)

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import litserve
import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


class Score(litserve.LitAPI):
    """One request at a time."""

    def setup(self, device: str) -> None:
        self.model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())

    def decode_request(self, request: Mapping[str, list[list[float]]]) -> Array:
        return np.asarray(request["rows"])

    def predict(self, x: Any) -> Any:
        return self.model.predict(x)

    def encode_response(self, output: Array) -> dict[str, list[float]]:
        return {"answer": output.tolist()}


class Batched(Score):
    """Many requests, which may have many rows each, as one array."""

    def batch(self, inputs: list[Array]) -> list[Array]:
        return inputs

    def predict(self, x: list[Array]) -> list[Array]:
        ends = np.cumsum([len(rows) for rows in x])[:-1]
        return np.split(self.model.predict(np.concatenate(x)), ends)

    def unbatch(self, output: list[Array]) -> list[Array]:
        return output


def main() -> None:
    batching = os.environ["BENCH_SETTING"] == "batching"
    api = Batched(max_batch_size=32, batch_timeout=0.002) if batching else Score()
    # It recommends the fast queue from 100 requests a second on.
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
