"""A KServe model server: its own Model class over scikit-learn."""
# mypy: disable-error-code="import-not-found,import-untyped,misc"
# (the framework lives in the peer's own environment, where mypy does not look)

import asyncio
import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop
from kserve import Model, ModelServer
from kserve.utils.utils import get_predict_input, get_predict_response


class Score(Model):
    """The model, loaded once."""

    def __init__(self) -> None:
        super().__init__("bench")
        self.model = pickle.loads(Path(os.environ["BENCH_MODEL"]).read_bytes())
        self.ready = True

    # The two conversions are what KServe's own scikit-learn server calls, for both protocols.
    async def predict(self, payload: Any, headers: Mapping[str, str] | None = None) -> Any:
        answer = self.model.predict(get_predict_input(payload))
        return get_predict_response(payload, answer, self.name)


def main() -> None:
    # Its own choice of a loop comes too late, and it wants one that exists already.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.set_event_loop(uvloop.new_event_loop())
    port = int(os.environ["BENCH_PORT"])
    server = ModelServer(http_port=port, enable_grpc=False, enable_latency_logging=False)
    logging.getLogger("uvicorn.access").disabled = True
    server.start([Score()])


if __name__ == "__main__":
    main()
