"""`serve`: the HTTP API and the touch page."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.recognition.pretrained import PRETRAINED

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SHUTDOWN_SECONDS = 10


@dataclass(frozen=True)
class ServeFlags:
    """Where to listen, and what to serve."""

    models: Path = PRETRAINED  # a folder of exported recognizers, each in a folder of its own
    host: str = "127.0.0.1"  # the address to listen at; 0.0.0.0 is every one that this machine has
    port: int = 8000  # the port to listen at; 0: any free one
    threads: int | None = None  # how many threads recognize at the same time; default: one for each processor
    max_requests: int = 64  # requests under way or waiting at once; more are told to try again
    # the file that holds the API key; without it the environment variable KUZUSHIJI_API_KEY; with neither, no key
    api_key_file: Path | None = None
    cors_origin: tuple[str, ...] = ()  # pages elsewhere that may use the API, such as https://example.org
    api_only: bool = False  # leave the touch page out
    write_site: Path | None = None  # write the touch page to this folder, for any web server, and stop
    site: Path | None = None  # serve the touch page that --write-site wrote here; default: build it at every start
    access_log: bool = False  # print a line for each request


def run(flags: ServeFlags) -> None:
    """Serve until Ctrl-C or SIGTERM, then finish what is under way; or write the touch page.

    Raises:
        ModuleNotFoundError: the extra `serve` is not installed.
        UserError, MissingFileError: no recognizer, or the port is taken.
    """
    for name, value in (("threads", flags.threads), ("max-requests", flags.max_requests)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; it must be at least 1.")
    import uvicorn

    from kuzushiji_tf.serving.api import Service, create_app
    from kuzushiji_tf.serving.limits import Limits
    from kuzushiji_tf.serving.models import load_models
    from kuzushiji_tf.serving.security import read_key
    from kuzushiji_tf.serving.site import build_site

    if flags.write_site:
        build_site(flags.write_site, flags.models)
        print(f"{flags.write_site}: the touch page, for any web server")
        return
    api_key = read_key(flags.api_key_file)
    threads = flags.threads or os.cpu_count() or 1
    service = Service(load_models(flags.models, threads), threads, Limits(requests=flags.max_requests))
    with _listen(flags.host, flags.port) as listening, _page(flags) as site:
        app = create_app(service, site=site, api_key=api_key, cors_origins=flags.cors_origin)
        host, port = listening.getsockname()[:2]
        print(f"models: {', '.join(service.models)}")
        if flags.host not in LOOPBACK and api_key is None:
            print(
                "note: anyone who reaches this address may use the API; --api-key-file asks for a key", file=sys.stderr
            )
        print(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}  (the API: /docs)", flush=True)
        config = uvicorn.Config(
            app,
            log_level="info" if flags.access_log else "warning",
            access_log=flags.access_log,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _page(flags: ServeFlags) -> Iterator[Path | None]:
    """Yield the folder of the touch page, or None where it is left out.

    Raises:
        MissingFileError: `--site` names a folder that holds no page.
    """
    if flags.api_only:
        yield None
    elif flags.site:
        if not (flags.site / "index.html").is_file():
            raise MissingFileError(f"{flags.site} holds no touch page; write it with: serve --write-site {flags.site}")
        yield flags.site
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield _build_page(Path(temporary) / "site", flags.models)


def _build_page(target: Path, models: Path) -> Path | None:
    """Build the touch page; without what it needs from npm say so, and return None: the API works all the same."""
    from kuzushiji_tf.serving.site import build_site, check_vendor

    try:
        check_vendor()
    except MissingFileError as error:
        print(f"note: the touch page is left out: {error}", file=sys.stderr)
        return None
    build_site(target, models)
    return target


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: the address is not this machine's, or the port is taken or not for everyone.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"Nothing can listen at {host} port {port} ({reason}); choose another --port.") from None
