"""Runs that lead nowhere: a loss that is not finite, and an end at which nothing has been learned.

What an end is judged by, so that no alarm is false:

- A loss is absurd above a thousand times that of guessing, whatever the number of steps: ln(way) nats, or the variance of the
  targets. No untrained network is near it.
- The last validation is at chance where its 95 % interval reaches guessing or lies below. Asked only after `FEWEST_STEPS`, and
  only of an interval that can tell: its half-width is at most half of the accuracy of guessing. The error of a regression
  model is that of guessing only where its interval lies above the variance of the targets: few shots are noisy.
"""

import math
import os

import numpy as np

from publishing.results import format_result
from zoo.core.files import replaced
from zoo.core.metrics import lower_is_better

FEWEST_STEPS = 100  # of a run that is judged by its accuracy; fewer try something out
_ABSURD = 1000.0


def save_batch(folder, step, arrays):
    """Writes the arrays of the batch of a step, by name, for `numpy.load`; the path."""
    path = os.path.join(folder, f"diverged_step_{step}.npz")
    with replaced(path) as file:
        np.savez_compressed(file, **arrays)
    return path


def nothing_learned(num_steps, loss, metric, value, ci95, guessing):
    """Why a run that has ended has learned nothing, in words; None where it may have.

    Args:
        num_steps: of the run.
        loss: the mean loss of its last steps, or of its last validation if that is higher.
        metric: name of the validation metric, an accuracy or an error.
        value, ci95: the last validation, and the half-width of its 95 % interval.
        guessing: the accuracy of guessing; of an error, the variance of the targets.

    Example:
        >>> nothing_learned(5000, 1.61, "accuracy", 0.201, 0.004, guessing=0.2)
        'its last validation accuracy is 20.10 ± 0.40 %, and guessing has 20.00 %'
    """
    is_error = lower_is_better(metric)
    guessing_loss = guessing if is_error else -math.log(guessing)
    if loss > _ABSURD * guessing_loss:
        return f"its last loss is {loss:.3g}, and guessing has {guessing_loss:.3g}"
    if num_steps < FEWEST_STEPS or ci95 > guessing / 2:
        return None
    if value - ci95 > guessing if is_error else value - ci95 <= guessing:
        result = format_result({"metric": metric, "mean": value, "ci95": ci95})
        chance = f"{guessing:.3g}" if is_error else f"{100 * guessing:.2f} %"
        return f"its last validation {metric.replace('_', ' ')} is {result}, and guessing has {chance}"
    return None
