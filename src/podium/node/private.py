"""A broker for one command: to pack or check a worker that needs a stream, with no endpoint running."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from podium.errors import NodeError
from podium.node.broker import Broker
from podium.node.process import signal_group, start

START_SECONDS = 10.0
_LOOK_SECONDS = 0.02


class PrivateBroker:
    """`async with` starts it and, at the end, leaves neither process nor file. Raises NodeError."""

    async def __aenter__(self) -> PrivateBroker:
        self._folder = tempfile.TemporaryDirectory(prefix="podium-")
        folder = Path(self._folder.name)
        self._broker = Broker.choose(run_dir=folder, store=folder / "stream")
        self._log = folder / "broker.log"
        try:
            await self._start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return self._broker.url

    async def crash(self) -> None:
        """Kill it, and start it again where it was."""
        self._kill()
        await self._start()

    async def _start(self) -> None:
        spec = self._broker.spec()
        self._process: subprocess.Popen[bytes] = start(spec, self._log)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await spec.sign.look(self._process.pid):
                    await asyncio.sleep(_LOOK_SECONDS)
        except BaseException as error:
            self._kill()
            if isinstance(error, TimeoutError):
                raise NodeError(f"the broker does not start: {self._log.read_text()[-300:]}") from None
            raise

    def _kill(self) -> None:
        signal_group(self._process, signal.SIGKILL)
        self._process.wait()
