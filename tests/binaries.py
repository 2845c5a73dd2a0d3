"""Runs binaries as processes: most of them forked off one that has imported TensorFlow already."""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

TIMEOUT = 300  # seconds
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["zoo", "matplotlib.figure", "tests.binaries"])


def run(module, *arguments, cwd=None):
    """What `python -m module arguments...` does, without its four seconds of imports: a CompletedProcess with text.

    `cwd` is the folder to run in; this process' own when None.

    A forked process runs no `atexit` functions, and imports of this package may be warm: a test that is about either, or
    that sends signals, takes `start`.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = [pathlib.Path(folder, name) for name in ("stdout", "stderr")]
        process = _CONTEXT.Process(target=_run, args=(module, arguments, outputs, cwd))
        process.start()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired([module, *arguments], TIMEOUT)
        texts = [path.read_text(encoding="utf-8") for path in outputs]
    return subprocess.CompletedProcess([module, *arguments], process.exitcode, *texts)


def start(module, *arguments, environment=None, **pipes):
    """`python -m module arguments...` itself, as a subprocess.Popen with text, for signals and for several at once."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env=variables, text=True, **pipes)


def _run(module, arguments, outputs, cwd):
    if cwd is not None:
        os.chdir(cwd)
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
