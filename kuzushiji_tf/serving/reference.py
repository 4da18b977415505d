"""The OpenAPI description as a plain page; pages that draw it fetch their scripts from other hosts."""

import json
from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.8rem;border:1px solid #8888;border-radius:.4rem}"
    "section{border-top:1px solid #8888;margin-top:2rem}td,th{text-align:left;padding:.1rem 1rem .1rem 0}"
)


def reference_page(openapi: dict[str, Any], example: str) -> str:
    """Return an HTML page that lists every operation of an OpenAPI description, with an example to paste."""
    info = openapi["info"]
    operations = [
        _operation(method.upper(), path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = json.dumps(openapi["components"]["schemas"], ensure_ascii=False, indent=2)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p><pre>{escape(example)}</pre>'
        f"{''.join(operations)}<section><h2>Schemas</h2><pre>{escape(schemas)}</pre></section></html>\n"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th><code>{escape(parameter['name'])}</code><td>{escape(parameter['in'])}"
        f"<td>{escape(parameter.get('description', ''))}"
        for parameter in operation.get("parameters", [])
    )
    bodies = "".join(
        f"<tr><th>body<td><code>{escape(media)}</code>"
        f"<td>{escape(', '.join(content['schema'].get('properties', ('the file',))))}"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><th>{escape(status)}<td colspan=2>{escape(answer['description'])}"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<section><h2><code>{method} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
        f"<table>{rows}{bodies}{answers}</table></section>"
    )
