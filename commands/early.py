"""Imported before all else by a binary: from here on Ctrl-C and SIGTERM end it in one line, while the rest is imported too."""

import signal

from commands import signals

signals.end_at_once(signal.SIGINT, "interrupted")
signals.end_at_once(signal.SIGTERM, "terminated")
