"""Steady load over gRPC, that remembers what every single call met."""

from __future__ import annotations

import itertools
import secrets
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass

import grpc
from grpc import StatusCode
from tests.system.load import JOIN_SECONDS, PATIENCE
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse

METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenCall:
    """What one call met; `began` and `ended` are on the monotonic clock, in seconds."""

    id: str
    code: StatusCode
    details: str
    rule: str
    began: float
    ended: float


class GrpcLoad:
    """Calls from threads with a connection each, until told to stop. `with` starts them.

    `rate` is for all of them together, per second. No call is made twice.
    """

    def __init__(self, address: str, *, connections: int = 8, rate: float = 300.0) -> None:
        self.seen: list[SeenCall] = []
        self._address = address
        self._pause = connections / rate
        self._name = secrets.token_hex(4)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call_on, args=(n,)) for n in range(connections)]

    def __enter__(self) -> GrpcLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive(), "the load did not end"

    @property
    def counts(self) -> Counter[StatusCode]:
        return Counter(seen.code for seen in self.seen)

    @property
    def rules(self) -> Counter[str]:
        """Answers by the rule that let them in."""
        return Counter(seen.rule for seen in self.seen if seen.code is StatusCode.OK)

    @property
    def answered(self) -> set[str]:
        """The ids that were answered."""
        return {seen.id for seen in self.seen if seen.code is StatusCode.OK}

    def since(self, moment: float) -> list[SeenCall]:
        """Those that began after a moment of the monotonic clock."""
        return [seen for seen in list(self.seen) if seen.began >= moment]

    def __repr__(self) -> str:
        words = {seen.details for seen in self.seen if seen.code is not StatusCode.OK}
        return f"{dict(self.counts)}, by rule {dict(self.rules)}, {words}"

    def _call_on(self, number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
        with grpc.insecure_channel(self._address, options=options) as channel:
            method = channel.unary_unary(
                METHOD, ModelInferRequest.SerializeToString, ModelInferResponse.FromString
            )
            for count in itertools.count():
                if self._stop.is_set():
                    return
                began = time.monotonic()
                self.seen.append(self._call(method, f"{self._name}-{number}-{count}", began))
                time.sleep(max(0.005, began + self._pause - time.monotonic()))

    def _call(self, method: grpc.UnaryUnaryMultiCallable, id: str, began: float) -> SeenCall:
        code, details, rule = StatusCode.OK, "", ""
        try:
            reply = method(bmi_request(id), timeout=PATIENCE)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
        else:
            assert reply.id == id
            rule = reply.parameters["rule"].string_param
        return SeenCall(id=id, code=code, details=details, rule=rule, began=began, ended=time.monotonic())


def bmi_request(id: str) -> ModelInferRequest:
    message = ModelInferRequest(model_name="diabetes", id=id)
    message.inputs.add(name="bmi", datatype="FP64", shape=[1, 1])
    message.raw_input_contents.append(struct.pack("<d", 0.05))
    return message
