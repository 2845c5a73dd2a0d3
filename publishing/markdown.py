"""Tables, links and sections of Markdown documents."""

import os

from zoo.core.files import write_text


def row(*cells):
    """One row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def table(titles, rows):
    """A table with a row of titles.

    Args:
        titles: cells of the first row.
        rows: iterable of iterables of as many cells; fewer are filled up with empty ones.

    Raises:
        ValueError: for a row with more cells than titles.
    """
    lines = [row(*titles), "|" + "---|" * len(titles)]
    for cells in map(list, rows):
        if len(cells) > len(titles):
            raise ValueError(f"A row must have at most {len(titles)} cells. Received: {cells}")
        lines.append(row(*cells, *[""] * (len(titles) - len(cells))))
    return "\n".join(lines)


def link(text, path, document="README.md"):
    """A link to a file of the repository, as `document` has to write it; both are paths from the top of the repository."""
    return f"[{text}]({os.path.relpath(path, os.path.dirname(document) or '.')})"


def replace_section(path, marker, text):
    """Replaces what stands between `<!-- marker -->` and `<!-- /marker -->` in a file.

    Raises:
        ValueError: where the file lacks the markers.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    with open(path, encoding="utf-8") as file:
        content = file.read()
    before, found_start, rest = content.partition(start)
    _, found_end, after = rest.partition(end)
    if not (found_start and found_end):
        raise ValueError(
            f"{path} must contain {start} and {end}. Received: {'no start' if not found_start else 'no end'}"
        )
    write_text(path, f"{before}{start}\n{text}\n{end}{after}")
