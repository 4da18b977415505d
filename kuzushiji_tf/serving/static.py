"""A folder over HTTP: the compressed variant of a file where there is one, right types, and nothing stale."""

import mimetypes
import os
import re
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Scope

ENCODINGS = {"br": ".br", "gzip": ".gz"}  # best first
# Systems disagree about these; without the right one a browser refuses a module, or compiles WASM slowly.
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".tflite": "application/octet-stream",
}
# A browser keeps each file and asks whether it still holds: names do not change when contents do.
CACHE_CONTROL = "no-cache"


class CompressedFiles(StaticFiles):
    """A folder whose files may have `.br` and `.gz` variants beside them."""

    def file_response(
        self, full_path: str | os.PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file, or the variant that the client takes, or that its own copy still holds."""
        requested = Headers(scope=scope)
        headers = {"Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
        path = Path(full_path)
        for encoding, suffix in ENCODINGS.items():
            variant = path.with_name(path.name + suffix)
            if takes(requested.get("accept-encoding", ""), encoding) and variant.is_file():
                stat_result, full_path = variant.stat(), variant
                headers["Content-Encoding"] = encoding
                break
        response = FileResponse(
            full_path, status_code, headers, media_type=media_type(path.name), stat_result=stat_result
        )
        return NotModifiedResponse(response.headers) if self.is_not_modified(response.headers, requested) else response


def media_type(name: str) -> str:
    """Return the type of a file by the end of its name."""
    return TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def takes(accept_encoding: str, encoding: str) -> bool:
    """Return whether a client's Accept-Encoding header names an encoding and does not forbid it with q=0."""
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == encoding:
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False
