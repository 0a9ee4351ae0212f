# An ASGI application for Hypercorn, a server that takes "Upgrade: h2c" without HTTP2-Settings. The
# application records every request that it gets, and returns the list of these requests at /log.
import json

seen = []


def note(scope, kind):
    fields = [(name.decode("latin1"), value.decode("latin1")) for name, value in scope["headers"]]
    seen.append({
        "kind": kind,
        "version": scope["http_version"],
        "method": scope.get("method", ""),
        "path": scope["path"],
        "query": scope["query_string"].decode("latin1"),
        "upgrade": [value for name, value in fields if name == "upgrade"],
        "settings": [value for name, value in fields if name == "http2-settings"],
        "user": [value for name, value in fields if name == "x-auth-user"],
    })


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        note(scope, "websocket")
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                return
            await send({"type": "websocket.send", "text": message["text"]})
    if scope["path"] == "/log":
        body = json.dumps(seen).encode()
        seen.clear()
    else:
        note(scope, "http")
        body = b"{}"
    await send({
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),  # so that no request meets a connection that Hypercorn is closing
        ],
    })
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
