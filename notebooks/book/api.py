"""Pages of the API, made of docstrings and signatures; no module is imported for them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "fsslib"
ROOMS = ("data", "encoders", "priors", "layers", "methods", "training", "evaluation", "interop")
ROOMS += ("runs", "viz", "bench", "own_pictures")
SECTIONS = ("Args", "Returns", "Raises", "Yields", "Attributes")
SECTION = re.compile(rf"^({'|'.join(SECTIONS)}):\s*$")
ENTRY = re.compile(r"^(\*{0,2}[\w.`, |*]+?):\s+(.*)$")


def api_pages() -> dict[str, str]:
    """Name of the page -> Markdown: one a room, one for the root, and their index."""
    pages = {f"api/{room}.md": page(room, modules(PACKAGE / room, "**/*.py")) for room in ROOMS}
    pages["api/root.md"] = page("the root", modules(PACKAGE, "*.py"))
    listed = "\n".join(["root", *ROOMS])
    pages["api/index.md"] = (
        "# The package\n\nEvery public class and function, by room; a room imports from those "
        "before it. [The map](../fsslib/README.md) says in a line what each module is for.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )
    return pages


def modules(folder: Path, pattern: str) -> list[Path]:
    """Those that can be imported from: commands explain themselves by `--help`."""
    return sorted(path for path in folder.glob(pattern) if path.name != "__main__.py")


def page(room: str, paths: list[Path]) -> str:
    title = room if room == "the root" else f"fsslib.{room}"
    return "\n\n".join([f"# {title}", *(text for path in paths if (text := module(path)))]) + "\n"


def module(path: Path) -> str:
    """A section: what the module is, then its public classes and functions."""
    parts = ("fsslib", *path.relative_to(PACKAGE).with_suffix("").parts)
    name = ".".join(part for part in parts if part != "__init__")
    tree = ast.parse(path.read_text())
    blocks = [block for node in tree.body if (block := entry(node, name))]
    about = ast.get_docstring(tree)
    if path.name == "__init__.py" and not blocks:
        return ""
    return "\n\n".join([f"## `{name}`", *([prose(about)] if about else []), *blocks])


def entry(node: ast.AST, owner: str, fence: int = 6) -> str:
    """A public class with its methods, or a function; nothing of what is private or undocumented.

    Args:
        fence: length of the fence, so that those inside are shorter.
    """
    kinds = {ast.ClassDef: "class", ast.FunctionDef: "function", ast.AsyncFunctionDef: "function"}
    kind, about = kinds.get(type(node)), None
    if kind is None or node.name.startswith("_") or not (about := ast.get_docstring(node)):
        return ""
    inside = [prose(about)]
    if kind == "class":
        methods = (entry(each, f"{owner}.{node.name}", fence - 1) for each in node.body)
        inside += [method for method in methods if method]
        signature = ", ".join(field for each in node.body if (field := attribute(each)))
        signature = f"({signature})" if signature else ""
    else:
        signature = f"({ast.unparse(node.args)})"
        signature += f" -> {ast.unparse(node.returns)}" if node.returns else ""
    ticks = "`" * fence
    head = f"{ticks}{{py:{kind}}} {owner}.{node.name}{signature}"
    return "\n\n".join([f"{head}\n", *inside, ticks])


def attribute(node: ast.AST) -> str:
    """`name: type = default` of an annotated field."""
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
        return ""
    text = f"{node.target.id}: {ast.unparse(node.annotation)}"
    simple = isinstance(node.value, ast.Constant | ast.Name | ast.Attribute | ast.UnaryOp)
    return text + (f" = {ast.unparse(node.value)}" if simple else "")


def prose(docstring: str) -> str:
    """A docstring as Markdown: sections become lists, indented blocks stay as they are."""
    lines, made = docstring.splitlines(), []
    section = False
    for line in lines:
        if match := SECTION.match(line):
            made += ["", f"**{match[1]}**", ""]
            section = True
        elif section and line.startswith("    ") and not line.startswith("     "):
            made.append(item(line.strip()))
        elif section and line.startswith("     "):
            made.append("  " + escaped(line.strip()))
        else:
            section = section and not line.strip()
            made.append(escaped(line))
    return "\n".join(made)


def item(line: str) -> str:
    """`name: what it is` as an item of a list."""
    if match := ENTRY.match(line):
        return f"- **{match[1].replace('*', chr(92) + '*')}**: {escaped(match[2])}"
    return f"- {escaped(line)}"


def escaped(line: str) -> str:
    """Text whose stars, dollars, braces and brackets are meant; what stands in backticks stays."""
    parts = re.split(r"(`+[^`]*`+)", line)
    return "".join(
        part if part.startswith("`") else re.sub(r"([*$<>{}\[\]|_\\#])", r"\\\1", part)
        for part in parts
    )
