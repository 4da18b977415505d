"""Who may ask, and what every answer forbids."""

import hmac
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kuzushiji_tf.errors import UserError
from kuzushiji_tf.files import read_text

KEY_VARIABLE = "KUZUSHIJI_API_KEY"
KEY_HEADER = "X-API-Key"
SHORTEST_KEY = 16  # characters
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


def read_key(file: Path | None) -> str | None:
    """Return the API key from a file or, without one, from `KUZUSHIJI_API_KEY`; None where neither is given.

    A key never comes from the command line: other users of a machine can read those.

    Raises:
        MissingFileError: no such file.
        UserError: the key is too short to be one, or holds what no HTTP header may.
    """
    key = (read_text(file) if file else os.environ.get(KEY_VARIABLE, "")).strip()
    where = file or KEY_VARIABLE
    if not key and not file:
        return None
    if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{where}: an API key needs at least {SHORTEST_KEY} ASCII characters without spaces.")
    return key


def require_key(key: str | None) -> Callable[[Request], Awaitable[None]]:
    """Return the check of a request's key: in `X-API-Key`, or in `Authorization: Bearer`."""

    async def check(request: Request) -> None:  # a plain function would be sent to a thread and back
        if key is None:
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = request.headers.get(KEY_HEADER) or (bearer.strip() if scheme.lower() == "bearer" else "")
        # Takes the same time however much of the key is right.
        if not hmac.compare_digest(given.encode(), key.encode()):
            raise HTTPException(
                401, f"The API key is missing or wrong; send it in {KEY_HEADER}.", {"WWW-Authenticate": "Bearer"}
            )

    return check


class AddHeaders:
    """Middleware that adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to its answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, add)
