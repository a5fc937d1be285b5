"""What the stand-ins of other people's servers share: a server on a port of its own, and answers in JSON."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON over connections that stay, and writes no log."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes) -> None:
        """Say this."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Ends although somebody still waits for an answer."""

    daemon_threads = True


@contextmanager
def serving(server: Server, ending: Callable[[], None]) -> Iterator[str]:
    """Its address, until the block ends; `ending` lets those go on who keep somebody waiting."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ending()
        server.shutdown()
        thread.join()
        server.server_close()
