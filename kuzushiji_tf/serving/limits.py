"""What a request may cost: bytes, pixels, strokes, requests at once; more is refused before it is paid for."""

import asyncio
import io
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from fastapi import HTTPException, Request
from PIL import Image
from starlette.formparsers import MultiPartParser
from starlette.types import Message

from kuzushiji_tf.ink.pictures import decode_small

T = TypeVar("T")
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
RETRY_AFTER = {"Retry-After": "1"}  # seconds: a recognition takes milliseconds


@dataclass(frozen=True)
class Limits:
    """The most that one server takes.

    Attributes:
        json_bytes: of a body of strokes; the most points that `strokes.as_strokes` takes need less.
        image_bytes: of a body with a picture.
        image_side: of a picture, in pixels.
        image_pixels: of a picture; a phone's camera makes 12 million.
        requests: under way at once, those that are still arriving among them.
        body_seconds: in which a body must have arrived.
    """

    json_bytes: int = 2 << 20
    image_bytes: int = 4 << 20
    image_side: int = 4096
    image_pixels: int = 12_600_000
    requests: int = 64
    body_seconds: float = 10.0


# No picture in a form is too large to wait in memory: the server needs no folder to write to.
MultiPartParser.spool_max_size = Limits().image_bytes


class Gate:
    """Lets a limited number of requests in; not for use by several threads."""

    def __init__(self, most: int):
        self.most = most
        self.inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Count as inside.

        Raises:
            HTTPException: 503 with `Retry-After`, as many are inside as may be.
        """
        if self.inside >= self.most:
            raise HTTPException(503, "The server is busy; try again in a second.", RETRY_AFTER)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


def bounded(request: Request, most: int) -> Request:
    """Return the request with a body of at most so many bytes, whether its length was declared or not.

    Raises:
        HTTPException: 413, at once or while the body is read.
    """
    too_long = HTTPException(413, f"The body is longer than {most:,} bytes, the most that is read.")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 18 or int(declared) > most:
        raise too_long
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_long
        return message

    return Request(request.scope, receive)


async def read_in_time(reading: Awaitable[T], seconds: float) -> T:
    """Return what a coroutine that reads a body returns.

    Raises:
        HTTPException: 408, it took too long.
    """
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError:
        raise HTTPException(408, f"The body did not arrive within {seconds:g} seconds; send it again.") from None


def open_image(content: bytes, limits: Limits) -> Image.Image:
    """Return a picture in one of `IMAGE_FORMATS`, of which only the header has been read; a JPEG is decoded small.

    Raises:
        HTTPException: 422, not such a picture; 413, its header claims too many pixels.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(limits) from None
    except Exception:  # noqa: BLE001  Pillow's readers raise whatever a damaged file leads them to
        raise HTTPException(422, "The image is not a PNG, JPEG or WebP file that can be read; save it again.") from None
    if max(image.size) > limits.image_side or image.width * image.height > limits.image_pixels:
        raise _too_large(limits)
    decode_small(image)
    return image


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(
        413,
        f"The image is larger than {limits.image_side:,} pixels a side or {limits.image_pixels:,} in all, the most "
        "that is read; cut the character out.",
    )
