"""What the application would see: a server with our command line that answers every request with the request itself."""

import json


async def app(scope, receive, send):
    """Lifespan, then: read the whole body, tell what came."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    told = {
        "path": scope["path"], "client": scope["client"][0], "scheme": scope["scheme"], "length": length,
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
    }  # fmt: skip
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


async def _live(receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


def main():
    """For uvicorn's --factory."""
    return app
