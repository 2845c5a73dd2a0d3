"""Times convolutions in which every task has a kernel of its own: one after the other, grouped, and as patches times a matrix.

python -m benchmarks.task_convolutions [--document=docs/performance.md]

Forward and backward, in float32, on the GPU where there is one. Tasks at once are grouped, or patches where the device has no
gradients of groups (`zoo/core/convolution.py`). Run on a quiet machine.
"""

from commands import launcher, path_flags

_DOCUMENT = path_flags.define("document", "File to write the table into, between its task_convolutions marks.")


def main():
    with launcher.imports():
        from benchmarks.convolution_ways import CASES, milliseconds
        from publishing import markdown
        from trainers import distribute

    lines = []
    for case in CASES:
        times = milliseconds(case)
        num_tasks, rows, size, channels, filters = case
        label = f"{num_tasks} tasks of {rows} images, {size}x{size}, {channels} to {filters} channels"
        lines.append([label, *("cannot" if time is None else f"{time:.1f}" for time in times.values())])
        print(markdown.row(*lines[-1]), flush=True)
    if _DOCUMENT.value:
        table = markdown.table(["a kernel a task, milliseconds", *times], lines)
        note = f"Forward and backward, float32, on {distribute.describe_machine()}."
        markdown.replace_section(_DOCUMENT.value, "task_convolutions", f"{table}\n\n{note}")


if __name__ == "__main__":
    launcher.run(main)
