"""Update rules of inner loops, as functions: what they remember is an argument and is returned."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from zoo.core import arguments


@dataclasses.dataclass(frozen=True)
class SGD:
    """theta - alpha g."""

    # What the rule remembers of each weight from step to step; zeros at first.
    slots: ClassVar[tuple] = ()

    def direction(self, gradient, slots, step, num_updates):
        """What alpha multiplies, and the new slots, for one weight.

        Args:
            gradient: float tensor.
            slots: dict, name -> tensor of the gradient's shape.
            step: steps of this task before this one: an int, or int32 scalar.
            num_updates: steps that the slots remember, this one included: an int, or scalar.

        Returns:
            `(direction, slots)`.
        """
        return gradient, slots


@dataclasses.dataclass(frozen=True)
class Momentum(SGD):
    """v <- momentum v + g, theta - alpha v; with `nesterov` theta - alpha (g + momentum v)."""

    slots: ClassVar[tuple] = ("velocity",)
    momentum: float = 0.9
    nesterov: bool = False

    def direction(self, gradient, slots, step, num_updates):
        velocity = self.momentum * slots["velocity"] + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return direction, {"velocity": velocity}


@dataclasses.dataclass(frozen=True)
class Adam(SGD):
    """Adam (Kingma & Ba 2015) with both moments corrected for their start at 0; beta_1 is 0, as in Reptile's runs.

    Twice differentiable where a gradient is 0: the root of its second moment has derivative 0 there.
    """

    beta_1: float = 0.0
    beta_2: float = 0.999
    epsilon: float = 1e-8

    @property
    def slots(self):
        return ("first_moment", "second_moment") if self.beta_1 else ("second_moment",)

    def direction(self, gradient, slots, step, num_updates):
        first = self.beta_1 * slots["first_moment"] + (1 - self.beta_1) * gradient if self.beta_1 else gradient
        second = self.beta_2 * slots["second_moment"] + (1 - self.beta_2) * gradient**2
        correction = tf.sqrt(1 - self.beta_2 ** tf.cast(num_updates, gradient.dtype))
        correction /= 1 - self.beta_1 ** tf.cast(step + 1, gradient.dtype)
        positive = second > 0
        root = tf.where(positive, tf.sqrt(tf.where(positive, second, 1.0)), 0.0)
        kept = {"first_moment": first, "second_moment": second}
        return correction * first / (root + self.epsilon), {slot: kept[slot] for slot in self.slots}


INNER_OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "adam": Adam}


def _share(name, value):
    return arguments.number(name, value, at_least=0, below=1)


# Of every field of a rule. At 1 an average never moves; an epsilon of 0 divides 0 by 0 where a weight has no gradient.
_CHECKS = {
    "momentum": _share,
    "nesterov": arguments.flag,
    "beta_1": _share,
    "beta_2": _share,
    "epsilon": lambda name, value: arguments.number(name, value, above=0),
}


def get(identifier):
    """The rule of a name of `INNER_OPTIMIZERS`, or of a dict of `name` and the rule's fields.

    Raises:
        ValueError: for an unknown name or field, and for a value that the rule cannot have.
    """
    options = dict(identifier) if isinstance(identifier, dict) else {"name": identifier}
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in INNER_OPTIMIZERS:
        raise ValueError(
            f"`inner_optimizer` must be one of {sorted(INNER_OPTIMIZERS)}, or a dict of its `name` and options. "
            f"Received: inner_optimizer={identifier!r}"
        )
    known = [field.name for field in dataclasses.fields(INNER_OPTIMIZERS[name])]
    if set(options) - set(known):
        raise ValueError(
            f"`inner_optimizer` {name!r} has the options {known}. Received: inner_optimizer={identifier!r}"
        )
    checked = {option: _CHECKS[option](f"inner_optimizer[{option!r}]", value) for option, value in options.items()}
    return INNER_OPTIMIZERS[name](**checked)


def plain(identifier):
    """An identifier that `get` takes as plain data for a config: numbers of NumPy become those of Python."""
    if not isinstance(identifier, dict):
        return identifier
    rule = get(identifier)
    return {"name": identifier["name"], **{option: getattr(rule, option) for option in identifier if option != "name"}}


def start(rule, weights):
    """The slots before the first step: weight name -> slot name -> zeros."""
    return {name: {slot: tf.zeros_like(weight) for slot in rule.slots} for name, weight in weights.items()}


def descend(rule, weights, gradients, slots, step_sizes, step, num_updates):
    """One step: (weights, slots), both by the weights' names, as `gradients` and `step_sizes` are."""
    moved, kept = {}, {}
    for name, weight in weights.items():
        direction, kept[name] = rule.direction(gradients[name], slots[name], step, num_updates)
        moved[name] = weight - step_sizes[name] * direction
    return moved, kept
