"""`data cache`: what was decoded into the cache, and how it is removed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class CacheFlags:
    """List what was decoded into the cache, or remove it; what is removed is decoded again when it is needed.

    An entry is stale when its source is gone or has changed. Stale entries are also removed automatically, after a day.
    """

    remove: Literal["nothing", "stale", "all"] = "nothing"  # which entries to remove
    json: bool = False  # print what is (still) there as one JSON object, and all else to standard error


def show_cache(flags: CacheFlags) -> dict[str, Any]:
    """List the cache, having removed what was asked for; return what is there."""
    from kuzushiji_tf.datasets.decoded import decoded_root, list_decoded, remove_decoded

    entries = list_decoded()
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        source = "unfinished" if entry.source is None else f"from {entry.source}"
        print(f"{_megabytes(entry.size):>12}  {used}  {entry.folder.name}  {source}{'  (stale)' * entry.is_stale}")
    removed = remove_decoded(e for e in entries if flags.remove == "all" or (flags.remove == "stale" and e.is_stale))
    if removed:
        print(f"removed: {len(removed):,} of {len(entries):,}, {_megabytes(sum(entry.size for entry in removed))}")
        entries = list_decoded()
    total = sum(entry.size for entry in entries)
    print(f"{_megabytes(total)} in {decoded_root()}" if entries else "Nothing is in the cache.")
    listed = [
        {"name": entry.folder.name, "source": str(entry.source or ""), "bytes": entry.size, "stale": entry.is_stale}
        for entry in entries
    ]
    return {"bytes": total, "decoded": listed}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
