"""A container of SageMaker's kind, as a program: `GET /ping`, `POST /invocations` with lines of CSV.

It behaves as its input tells it to: that is how a test has its faults one by one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

BROKEN, PAGE, HALF, MOVED, SHORT, NOTHING, NAN, GONE, HANG = range(10, 19)


class Container(BaseHTTPRequestHandler):
    """One connection, kept open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.say(200 if self.path == "/ping" else 404, "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        try:
            rows = [float(line) for line in body.splitlines()]
        except ValueError:
            return self.say(400, "expected lines of one number")
        scores = "".join(f"{1000 + row}\n" for row in rows)
        if GONE in rows:
            self.close_connection = True
        elif BROKEN in rows:
            self.say(500, "<html><h1>Internal Server Error</h1></html>", kind="text/html")
        elif PAGE in rows:
            self.say(200, "<html><p>Please log in</p></html>", kind="text/html")
        elif MOVED in rows:
            self.say(307, "", headers={"location": "http://127.0.0.1:9/elsewhere"})
        elif SHORT in rows:
            self.say(200, "", kind="text/csv")
        elif NAN in rows:
            self.say(200, '{"predictions": [NaN]}', kind="application/json")
        elif NOTHING in rows:
            self.say(200, '{"predictions": [null]}', kind="application/json")
        elif HALF in rows:
            self.say(200, scores, kind="text/csv", more=100)
            self.close_connection = True
        else:
            while HANG in rows:
                time.sleep(0.1)
            self.say(200, scores, kind="text/csv")
        return None

    def say(
        self,
        status: int,
        text: str,
        *,
        kind: str = "text/plain",
        more: int = 0,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) + more))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Container)
    server.daemon_threads = True
    server.serve_forever()
