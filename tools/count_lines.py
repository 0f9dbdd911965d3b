"""Count files and logical lines of code by top-level folder: what the project costs to read.

A logical line is one statement or one header of a block, however many lines it spans. Docstrings, comments and blank
lines do not count.

    python tools/count_lines.py [FOLDER ...]      of the working tree, tracked Python files outside tests
"""

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

DEPTH = 2
"""Folders are summed up to this many levels below the root."""


def logical_lines(source: str) -> int:
    """Return the number of logical lines of a module, docstrings not counted."""
    lines = [
        token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NEWLINE
    ]
    statements = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    # A docstring, or the string below a field that documents it, is an expression that stands alone.
    return len(lines) - sum(isinstance(node, ast.Constant) and isinstance(node.value, str) for node in statements)


def main(folders: Sequence[str]) -> None:
    """Print files and logical lines of each folder, and of all."""
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout.split()
    files, lines = Counter[str](), Counter[str]()
    for name in listed:
        path = Path(name)
        if path.parts[0] == "tests" or not path.is_file() or (folders and not name.startswith(tuple(folders))):
            continue
        folder = "/".join(path.parts[:-1][:DEPTH]) or "."
        files[folder] += 1
        lines[folder] += logical_lines(path.read_text(encoding="utf-8"))
    print(f"{'folder':32} {'files':>6} {'logical lines':>14}")
    for folder in sorted(files):
        print(f"{folder:32} {files[folder]:6} {lines[folder]:14}")
    print(f"{'all':32} {files.total():6} {lines.total():14}")


if __name__ == "__main__":
    main(sys.argv[1:])
