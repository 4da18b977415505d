"""What the tests of the touch page share: a plain static server, and a finger on Chromium's screen."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PHONE = {"viewport": {"width": 412, "height": 915}, "device_scale_factor": 2.625, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder as a plain web server does: right types, and a file's `.gz` to whoever takes gzip."""

    extensions_map = {  # noqa: RUF012 (as the base class has it)
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }
    protocol_version = "HTTP/1.1"

    def send_head(self):
        """Answer with the compressed file where there is one; the bytes sent are counted by path."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        packed = path.with_name(f"{path.name}.gz")
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if not packed.is_file() or not takes_gzip or "If-Modified-Since" in self.headers:
            return super().send_head()  # which also answers that the browser's own copy still holds
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(packed.stat().st_size))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        self.server.sent[self.path] = self.server.sent.get(self.path, 0) + packed.stat().st_size
        return packed.open("rb")

    def log_message(self, *args):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The server of one folder; a browser that hangs up in the middle of a file is no error."""

    def handle_error(self, request, client_address):
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Serve a folder at 127.0.0.1; `server.url` is its address, `server.sent` the compressed bytes sent by path."""
    server = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.url = f"http://127.0.0.1:{server.server_address[1]}/"
    server.sent = {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the system's Chromium; skip where it or playwright is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def draw(page: Any, strokes: list[np.ndarray], size: float = 0.7, middle: tuple[float, float] = (0.5, 0.5)) -> None:
    """Write strokes (any unit, y down) on the pad with one finger, through the browser's own touch input.

    `size` is the longer side of their box and `middle` its place, in sides of the pad.
    """
    box = page.locator("#pad").bounding_box()
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = size * box["width"] / max(float((high - low).max()), 1e-6)
    center = np.array([box["x"], box["y"]]) + box["width"] * np.array(middle)
    session = page.context.new_cdp_session(page)
    for stroke in strokes:
        places = center + (stroke - (low + high) / 2) * scale
        for number, (x, y) in enumerate(places.tolist()):
            kind = "touchMove" if number else "touchStart"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": 1}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def candidates(page: Any) -> list[str]:
    """Return the characters that the page offers, best first, once it has recognized every stroke drawn."""
    # A function, not an expression: the page's security policy forbids eval.
    page.wait_for_function(
        "() => document.querySelector('#candidates button') || document.querySelector('#note').textContent"
    )
    return page.eval_on_selector_all("#candidates button", "buttons => buttons.map(button => button.dataset.character)")
