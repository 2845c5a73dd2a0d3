"""Flags that name files and folders."""

import pathlib
import re
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


def test_every_flag_that_names_a_file_or_folder_is_one_of_these():
    strings = [
        text
        for package in ("trainers", "publishing", "studies", "export", "benchmarks")
        for path in pathlib.Path(package).glob("*.py")
        for text in re.findall(r"flags\.DEFINE_string\((.*)", path.read_text(encoding="utf-8"))
    ]
    assert strings and not [text for text in strings if re.search("folder|file|PNG", text, re.IGNORECASE)]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
