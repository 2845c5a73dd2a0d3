"""What ends a run before its time."""


class TrainingError(RuntimeError):
    """Training cannot go on; the workdir is as its last checkpoint left it."""

    status = 1  # exit status of the binaries


class DivergenceError(TrainingError):
    """The run leads nowhere, and the same command would lead there again."""

    status = 3
