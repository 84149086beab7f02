"""`/docs`: the interface described for people, made from the OpenAPI schema, without a script."""

from __future__ import annotations

from html import escape
from typing import Any


def reference_page(openapi: dict[str, Any]) -> str:
    """A whole HTML page."""
    parts = [
        _operation(path, method, operation, openapi)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    contents = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in parts)
    body = "".join(html for _, _, html in parts)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Stable Signer: the interface</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/style.css"><link rel="icon" href="/icon.svg"></head>
<body><header class="bar"><a class="brand" href="/">Stable Signer</a></header>
<main class="prose"><h1>The interface</h1>
<p>{escape(openapi["info"]["description"])} For programs: <a href="/openapi.json">openapi.json</a>.
A refusal is <code>application/problem+json</code> whose <code>detail</code> is one sentence.</p>
<nav aria-label="Operations"><ul>{contents}</ul></nav>{body}</main></body></html>"""


def _operation(
    path: str, method: str, operation: dict[str, Any], openapi: dict[str, Any]
) -> tuple[str, str, str]:
    title = f"{method.upper()} {path}"
    key = title.lower().replace(" ", "").replace("/", "-")
    fields = [_row(p["name"], p["schema"], p.get("required", False)) for p in operation.get("parameters", [])]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        model = openapi["components"]["schemas"][body["$ref"].split("/")[-1]]
        required = model.get("required", [])
        fields += [_row(name, schema, name in required) for name, schema in model["properties"].items()]
    table = ""
    if fields:
        heads = "".join(f'<th scope="col">{h}</th>' for h in ("Field", "Kind", "Default", "What"))
        table = (
            f'<div class="wide" tabindex="0" role="region" aria-label="Fields of {escape(title)}">'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(fields)}</tbody></table></div>"
        )
    answers = "".join(
        f"<li><code>{escape(status)}</code> {escape(answer['description'])}</li>"
        for status, answer in operation["responses"].items()
    )
    about = escape(operation.get("description", ""))
    return (
        key,
        title,
        f'<section><h2 id="{key}">{escape(title)}</h2><p>{about}</p>{table}<ul>{answers}</ul></section>',
    )


def _row(name: str, schema: dict[str, Any], required: bool) -> str:
    default = "required" if required else str(schema.get("default", ""))
    cells = (_kind(schema), default, schema.get("description", ""))
    return (
        f'<tr><th scope="row"><code>{escape(name)}</code></th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        + "</tr>"
    )


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(s) for s in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    bounds = [
        f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema
    ]
    return " ".join([schema.get("type", "any"), *bounds])
