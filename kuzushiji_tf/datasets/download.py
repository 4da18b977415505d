"""Verified downloads: several mirrors in turn, a known checksum, and a file that appears whole or not at all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from tqdm import tqdm

from kuzushiji_tf.errors import UserError


@dataclass(frozen=True)
class Patience:
    """How long to wait for a host: seconds for a connection and for each piece of data, rounds of the whole list."""

    timeout: tuple[float, float] = (10.0, 30.0)
    rounds: int = 2
    pause: float = 2.0  # seconds between two rounds


USUAL = Patience()


def fetch(
    urls: Sequence[str],
    known_hash: str,
    folder: Path,
    patience: Patience = USUAL,
) -> Path:
    """Return the path of a verified file in `folder`, downloading it first unless it is there already.

    Args:
        urls: the same file on several hosts, tried in this order; all end in its name.
        known_hash: of the file as published, `md5:<hex digest>` or `sha256:<hex digest>`.
        folder: where it is kept; made when needed.
        patience: with hosts that do not answer.

    Raises:
        UserError: no host gave the right file, and the sentence names them, the reasons and the manual way; or it
            cannot be written.
    """
    name = urlsplit(urls[0]).path.rsplit("/", 1)[-1]
    path = folder / name
    algorithm, digest = known_hash.split(":")
    if path.is_file() and pooch.file_hash(str(path), alg=algorithm) == digest:
        return path
    failures: dict[str, str] = {}
    for attempt in range(patience.rounds):
        if attempt:
            time.sleep(patience.pause)
        for url in urls:
            try:
                _download(url, path, known_hash, patience.timeout)
                return path
            except (requests.RequestException, ConnectionError, TimeoutError, ValueError) as error:
                failures[urlsplit(url).netloc] = _reason(error)
            except OSError as error:  # of this machine's disk: no other host helps
                raise UserError(
                    f"{name} cannot be written to {folder} ({_reason(error)}); make room there, or name another folder "
                    "with the environment variable KUZUSHIJI_CACHE."
                ) from None
    tried = "; ".join(f"{host}: {reason}" for host, reason in failures.items())
    raise UserError(
        f"{name} could not be downloaded ({tried}); download {urls[0]} with a browser and name its folder "
        "with --data-dir or the environment variable KUZUSHIJI_DATA."
    )


def _download(url: str, path: Path, known_hash: str, timeout: tuple[float, float]) -> None:
    pooch.get_logger().setLevel("WARNING")  # the bar says it all; it stays away where no terminal shows it
    title = f"{path.name} from {urlsplit(url).netloc}"
    # total=1: pooch asks whether the bar is true before it knows the size, and a bar without total has no truth.
    with tqdm(desc=title, total=1, unit="B", unit_scale=True, leave=False, disable=None) as progress:
        downloader = pooch.HTTPDownloader(
            progressbar=progress,
            chunk_size=1 << 16,
            timeout=timeout,
            headers={"Accept-Encoding": "identity"},  # a .gz file must arrive as it is, or its md5 differs
        )
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=downloader)


def _reason(error: Exception) -> str:
    """Return the failure in a few words; the libraries' own messages run over several lines."""
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "connection failed"
    if isinstance(error, requests.RequestException):
        return "broken transfer"
    if isinstance(error, ValueError):
        return "other content than published"
    return getattr(error, "strerror", None) or type(error).__name__
