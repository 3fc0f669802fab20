"""A service that knows customers, as a program: `POST {"keys": […]}` is answered by `{"rows": […]}`.

What it knows is in a file, which it reads each time.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Customers(BaseHTTPRequestHandler):
    """One connection, kept open."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        keys = json.loads(self.rfile.read(int(self.headers["content-length"])))["keys"]
        known = json.loads(Path(sys.argv[2]).read_text())
        body = json.dumps({"rows": [known.get(key) for key in keys]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Customers)
    server.daemon_threads = True
    server.serve_forever()
