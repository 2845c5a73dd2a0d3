"""Flags that name files and folders."""

import sys

import pytest
from absl import flags

from commands import path_flags


@pytest.mark.parametrize(
    "given, expected", [("~/runs/1", "/home/me/runs/1"), ("runs/~1", "runs/~1"), ("/runs", "/runs"), ("name", "name")]
)
def test_the_home_folder_is_found(given, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    values = flags.FlagValues()
    holder = path_flags.define("folder", "A folder.", values)
    values(["program"])
    assert holder.value is None
    values(["program", f"--folder={given}"])
    assert holder.value == expected


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
