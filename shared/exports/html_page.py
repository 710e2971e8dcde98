"""Writes a model as one HTML file that recognises pictures in a browser, without a network and without Tandem.

The file contains the weights, the description of the network, a page to draw on, and the forward pass of Tandem's own
page. The JavaScript comes from the same source files that the gateway serves, with their comments. Browsers load no
modules from the disk. So the modules are joined into two scripts. One, `core`, needs no document: a bare JavaScript
engine can check it. The other is the page's.

A Content-Security-Policy with the checksums of both scripts and of the style allows nothing else: no request, and no
script that a text of the model could contain.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template

from shared.models.manifest import Manifest
from shared.network.weights import Weights, to_bytes

PAGE = Path(__file__).with_name("page")
NETWORK = Path(__file__).resolve().parents[2] / "services/dashboard/network"
CORE_MODULES = (NETWORK / "safetensors.js", NETWORK / "forward.js", PAGE / "model.js")  # each after those it imports
PAGE_MODULES = (NETWORK / "drawing.js", PAGE / "page.js")
NAMESPACE = "tandem"  # the constant that has the exported functions of all modules
EXPORT = re.compile(r"^export ((?:async )?function (\w+))", re.MULTILINE)
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./\w+\.js";$', re.MULTILINE)
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {style}; img-src blob: data:; base-uri 'none'; "
    "form-action 'none'"
)


def write_html(manifest: Manifest, weights: Weights) -> bytes:
    """Return the contents of the HTML file, in UTF-8. The same model always gives the same bytes.

    Args:
        manifest: of the model.
        weights: float32, in the canonical layout.
    """
    core = f'"use strict";\nconst {NAMESPACE} = {{}};\n{join_modules(CORE_MODULES)}'
    page = f'"use strict";\n{join_modules(PAGE_MODULES)}'
    style = (PAGE / "page.css").read_text(encoding="utf-8")
    policy = POLICY.format(scripts=f"{_source_of(core)} {_source_of(page)}", style=_source_of(style))
    return (
        Template((PAGE / "page.html").read_text())
        .substitute(
            policy=policy,
            title=html.escape(f"{manifest.name} {manifest.version} ({manifest.backend})"),
            style=style,
            model=_encode_model(manifest, weights),
            core=core,
            page=page,
        )
        .encode()
    )


def join_modules(paths: Sequence[Path]) -> str:
    """Return ES modules as a classic script. Each module becomes a block, so that its own names stay its own.

    Exported functions become members of the constant `NAMESPACE`, and imports are read from there. Whoever uses the
    script declares the constant.
    """
    blocks = []
    for path in paths:
        source = path.read_text(encoding="utf-8")
        names = [name for _, name in EXPORT.findall(source)]
        source = IMPORT.sub(rf"const \1 = {NAMESPACE};", EXPORT.sub(r"\1", source)).strip()
        exports = f"\nObject.assign({NAMESPACE}, {{ {', '.join(names)} }});" if names else ""
        blocks.append(f"{{\n{source}{exports}\n}}")
    return "\n".join(blocks)


def _source_of(content: str) -> str:
    """Return how a Content-Security-Policy names a script or a style with this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _encode_model(manifest: Manifest, weights: Weights) -> str:
    """Return the model in JSON, as the text of a script element: ASCII without `<`, so no text ends the element."""
    facts = {
        "name": manifest.name,
        "backend": manifest.backend,
        "version": manifest.version,
        "dataset": manifest.data.dataset,
        "accuracy": manifest.metrics.test_accuracy,
        "prepare": manifest.prepare,
        "classes": manifest.classes,
        "network": manifest.network.model_dump(mode="json"),
        "weights": base64.b64encode(to_bytes(weights)).decode(),
    }
    return json.dumps(facts, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
