"""Texts of unknown origin on a terminal."""

_MAX_TEXT = 1000


def printable(text, limit=_MAX_TEXT):
    """A text for one line: what a terminal would obey, or hide, as escapes; cut where it is long."""
    text = str(text)
    shown = text[:limit] + (f"... ({len(text)} characters)" if len(text) > limit else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
