"""What mkdocs does besides: formulas become MathML, and links that leave docs/ become the name of what they lead to.

Formulas are made when the site is built, so that a page needs neither a script nor a font to show them.
"""

from __future__ import annotations

import html
import posixpath
import re
from typing import Any

from latex2mathml.converter import convert

FENCE = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\(|\\\[)(.*?)(?:\\\)|\\\])</\1>', re.DOTALL)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Unlink what lies outside docs/, which the site does not have."""
    folder = posixpath.dirname(page.file.src_uri)

    def inside(link: re.Match[str]) -> str:
        leads_to = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] if leads_to.startswith("..") else link[0]

    kept, parts = 0, []
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(inside, markdown[kept : fence.start()]), fence[0]]
        kept = fence.end()
    return "".join([*parts, LINK.sub(inside, markdown[kept:])])


def on_page_content(content: str, *, page: Any, config: Any, files: Any) -> str:
    """Formulas as MathML. Raises what latex2mathml raises for one that it can not read."""

    def formula(found: re.Match[str]) -> str:
        return str(convert(html.unescape(found[2]).strip(), display="block" if found[1] == "div" else "inline"))

    return FORMULA.sub(formula, content)
