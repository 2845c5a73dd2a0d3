"""Times training steps and evaluation beside PyTorch's and JAX's: the same network, weights, episodes and step.

python -m benchmarks.compare --peers=.venv-peers/bin/python [--rows=maml_5_steps,...] [--document=docs/performance.md]

Every contender runs in a process of its own; those of a row take turns, so that what else the machine does falls on all of
them. They must agree on the loss of the first step and on the norm of its gradient before they are timed. With --document the
tables go there, those of a machine with a GPU into a section of their own. Run on a quiet machine.
"""

import json
import pathlib
import select
import statistics
import subprocess
import sys
import time

from absl import flags

from benchmarks import rows
from benchmarks.contenders.steps import BATCH_LOSSES
from commands import launcher, path_flags

_PEERS = path_flags.define("peers", "Python of an environment with benchmarks/contenders/requirements.txt.")
_ROWS = flags.DEFINE_list("rows", None, "Rows to time; all when left out.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each contender.", 1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Seconds of a turn.", 0.0)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    600,
    "Seconds that a peer has for its first step, compilation included, before the row goes on without it.",
    1,
)
_DOCUMENT = path_flags.define("document", "File to write the tables into, between their peers marks.")
_MEASUREMENTS = path_flags.define(
    "measurements", "JSON of rows measured before on this machine, which stay in the tables; written after each row."
)

OURS = "Metazoa"
UNCOMPILED = {"PyTorch": ("with_pytorch", "func"), "PyTorch, vmap": ("with_pytorch", "vmap")}
COMPILED = {
    "torch.compile": ("with_pytorch", "compile"),
    "JAX, lax.map": ("with_jax", "map"),
    "JAX, vmap": ("with_jax", "vmap"),
}
PEERS = {**UNCOMPILED, **COMPILED}
ONE_TASK = ["PyTorch", "torch.compile", "JAX, vmap"]  # nothing to map over: the others are these
_LONG_STEP = 10.0  # seconds
_LOSS_TOLERANCE, _GRADIENT_TOLERANCE = 1e-3, 1e-2  # relative: inner steps amplify rounding of float32


def command(contender, row, *arguments):
    """The command line of a contender's process."""
    if contender == OURS:
        return [sys.executable, "-m", "benchmarks.contenders.with_metazoa", row, *arguments]
    module, variant = PEERS[contender]
    return [_PEERS.value, "-m", f"benchmarks.contenders.{module}", row, variant]


def ask(arguments):
    """What a process prints as its last line of JSON; None, and its complaint on the console, where it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        complain(arguments, done.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def complain(arguments, errors):
    lines = errors.strip().splitlines() or ["no message"]
    print(f"{' '.join(arguments[2:])} failed: {lines[-1]}", file=sys.stderr)


class Contender:
    """A process that has taken the first step and takes others when asked to; `answer` is None where it failed or was too slow."""

    def __init__(self, name, row):
        began = time.time()
        arguments = command(name, row)
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # Metazoa is waited for: there is no row without it.
        self.is_late = name != OURS and not select.select([self._process.stdout], [], [], _PATIENCE.value)[0]
        self.answer = None if self.is_late else self._read()
        if self.is_late:
            complain(arguments, f"no first step in {_PATIENCE.value} seconds")
            self.close()
        elif self.answer is None:
            complain(arguments, self._process.communicate()[1])
        else:
            self.start_up = self.answer["started"] - began
        self.seconds = []

    def _read(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def take_turn(self, seconds, counts):
        """Takes steps for so many seconds, one at least; where one takes over `_LONG_STEP`, the first turn is the only one and counts."""
        if self.seconds and max(self.seconds) > _LONG_STEP:
            return
        print(seconds, file=self._process.stdin, flush=True)
        taken = self._read()["seconds"]
        self.seconds += taken if counts or max(taken) > _LONG_STEP else []

    def close(self):
        self._process.kill()
        self._process.communicate()


def check_agreement(row, contenders):
    """Raises RuntimeError where a contender takes another step than Metazoa."""
    ours = contenders[OURS].answer
    for name, contender in contenders.items():
        for key, tolerance in (("loss", _LOSS_TOLERANCE), ("gradient", _GRADIENT_TOLERANCE)):
            expected, received = ours[key], contender.answer[key]
            if expected is not None and abs(received - expected) > tolerance * abs(expected):
                raise RuntimeError(f"{row}: {name} has another {key}: {received}, and {OURS} {expected}")


def peers_of(row):
    """The peers that a row is timed beside."""
    return ONE_TASK if row["tasks"] == 1 or row["method"] in BATCH_LOSSES else list(PEERS)


def time_row(name):
    """{contender: (median seconds of a step, seconds from start to the first step)}, floating point operations of a step, and
    {contender: seconds that it was waited for} of those that had taken no step by then."""
    wanted = [OURS, *(peers_of(rows.ROWS[name]) if _PEERS.value else ())]
    contenders = {contender: Contender(contender, name) for contender in wanted}
    try:
        running = {contender: process for contender, process in contenders.items() if process.answer}
        if OURS not in running:
            raise RuntimeError(f"{name}: {OURS} failed")
        check_agreement(name, running)
        for turn in range(1 + _ROUNDS.value):
            for process in running.values():
                process.take_turn(_SECONDS.value, counts=turn > 0)  # some compile again in the first steps
    finally:
        for process in contenders.values():
            process.close()
    flop = next((process.answer["flop"] for process in running.values() if "flop" in process.answer), None)
    times = {c: (statistics.median(process.seconds), process.start_up) for c, process in running.items()}
    return times, flop, {c: _PATIENCE.value for c, process in contenders.items() if process.is_late}


def ceilings():
    """{operation: GFLOP/s} of a convolution and a matrix product, by the library that is fastest at each."""
    libraries = [command(OURS, "ceiling")]
    if _PEERS.value:
        libraries += [command(peer, "ceiling")[:-1] for peer in ("PyTorch", "JAX, lax.map")]
    measured = [answer for answer in map(ask, libraries) if answer]
    return {operation: max(answer[operation] for answer in measured) for operation in ("convolution", "matrix")}


def ratio(times, peers):
    """How many times faster than the fastest of these peers a step is, as text."""
    others = [times[peer][0] for peer in peers if peer in times]
    return f"{min(others) / times[OURS][0]:.1f}" if others else ""


def measure(name):
    """What the tables say of a row, as plain data; the ceilings are measured with it, since a machine's speed changes in an hour."""
    ceiling = ceilings()
    times, flop, late = time_row(name)
    shares = ask(command(OURS, name, "profile"))["shares"]
    return {"times": times, "flop": flop, "late": late, "shares": shares, "ceiling": ceiling}


def tables(measured, machine):
    """The measurements, {row: see `measure`}, as Markdown: milliseconds, seconds to the first step, and where the time goes."""
    from benchmarks.profile import KINDS
    from publishing import markdown

    names = [OURS, *PEERS]
    steps, starts, kinds = [], [], []
    for name, row in measured.items():
        label, times = rows.ROWS[name]["label"], row["times"]
        convolution = row["ceiling"]["convolution"]
        share = f"{row['flop'] / times[OURS][0] / 1e9 / convolution:.0%}" if row["flop"] else ""
        num_steps = rows.ROWS[name]["evaluated"] / rows.ROWS[name]["tasks"] or 1
        cells = [f"{1000 * num_steps * times[c][0]:.1f}" if c in times else "" for c in names]
        ceiling = f"{convolution:.0f}, {row['ceiling']['matrix']:.0f}"
        steps.append([label, *cells, ratio(times, UNCOMPILED), ratio(times, COMPILED), ceiling, share])
        begun = {c: f"{seconds:.0f}" for c, (_, seconds) in times.items()}
        begun.update({c: f"over {seconds}, left out" for c, seconds in row.get("late", {}).items()})
        starts.append([label, *(begun.get(c, "") for c in names)])
        kinds.append([label, *(f"{row['shares'][kind]:.0%}" for kind in KINDS)])
    titles = ["step", *names]
    faster = ["times the fastest uncompiled", "times the fastest compiled", "ceilings", "of the ceiling"]
    return "\n\n".join(
        [
            f"Milliseconds of a step, medians, on {machine}. The ceilings, measured before each row: GFLOP/s of a 64-channel 3x3 "
            "convolution and of a product of matrices of 2048, by the fastest of the libraries; the share is that of the "
            "convolution's, and counts the convolutions and matrix products that JAX's derivatives have, without those with padding.",
            markdown.table([*titles, *faster], steps),
            "Seconds from the start of the process to the end of its first step:",
            markdown.table(titles, starts),
            f"Where {OURS}'s time goes, by kind of op, all threads together:",
            markdown.table(["step", *KINDS], kinds),
        ]
    )


def kept(path):
    """The measurements of a file that `main` has written; none where there is no such file."""
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8")) if path and pathlib.Path(path).exists() else {}


def main():
    chosen = rows.check(_ROWS.value)
    with launcher.imports():
        import tensorflow as tf

        from publishing.markdown import replace_section
        from trainers.distribute import describe_machine
        from zoo.core.files import write_text

    machine, section = describe_machine(), "peers_gpu" if tf.config.list_physical_devices("GPU") else "peers_cpu"
    measured = kept(_MEASUREMENTS.value)
    for name in chosen:
        measured[name] = measure(name)
        times = measured[name]["times"]
        print(f"{name}: " + ", ".join(f"{c} {1000 * t:.1f} ms ({s:.0f} s)" for c, (t, s) in times.items()), flush=True)
        measured = {row: measured[row] for row in rows.ROWS if row in measured}
        # after each row, so that an interrupted run leaves what it measured
        if _MEASUREMENTS.value:
            write_text(_MEASUREMENTS.value, json.dumps(measured, indent=1) + "\n")
        if _DOCUMENT.value:
            replace_section(_DOCUMENT.value, section, tables(measured, machine))


if __name__ == "__main__":
    launcher.run(main)
