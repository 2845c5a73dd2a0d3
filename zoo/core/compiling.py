"""What Keras' `compile` and `fit` are asked, beside an optimizer: honoured, or refused in one line."""

import keras
import tensorflow as tf

# Words for what a model reports anyway, as a mean over episodes.
_SYNONYMS = {"accuracy": ("accuracy", "acc"), "mean_squared_error": ("mean_squared_error", "mse")}


def refuse(model, **options):
    """Raises ValueError where one of Keras' options is given that `task_objective` stands in the place of."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be left out: {type(model).__name__} minimizes its `task_objective`, which a subclass may "
                f"override. Received: {name}={value!r}"
            )


def refuse_own_loss(model):
    """Raises ValueError for a subclass with a `compute_loss` of its own, which Keras' own steps call and the zoo's do not."""
    if type(model).compute_loss is not keras.Model.compute_loss:
        raise ValueError(
            "`compute_loss` must be left as it is: training minimizes `task_objective`, which a subclass may override. "
            f"Received: {type(model).__name__}.compute_loss"
        )


def refuse_jit(jit_compile):
    """Raises ValueError for jit_compile=True: padding gives shapes that XLA cannot compile, and XLA drops the checks of labels."""
    if jit_compile not in (None, False, "auto"):
        raise ValueError(
            "`jit_compile` must be left out: XLA drops the checks of labels, and cannot compile what takes padded rows out. "
            f"Received: jit_compile={jit_compile!r}"
        )


def refuse_conditional(optimizer):
    """Raises ValueError for an optimizer, in a strategy of tf.distribute, that applies its slopes only at every n-th step.

    Keras asks on each replica whether it is such a step, and TensorFlow lets replicas meet outside of conditions alone.
    """
    if not tf.distribute.has_strategy():
        return
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # a LossScaleOptimizer has one
    for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if value := getattr(inner, name, None):
            strategy = type(tf.distribute.get_strategy()).__name__
            raise ValueError(
                f"`{name}` of the optimizer must be left out in a strategy of tf.distribute. Received: {name}={value} in a {strategy}"
            )


def own_metrics(metrics, reported):
    """The metrics to compute beside the model's own, or None.

    Args:
        metrics: list of Keras metrics or their names, or None.
        reported: names that the model reports.

    Raises:
        ValueError: for anything else, and for a metric under a name that the model reports something else as.
    """
    if not isinstance(metrics, (list, tuple, type(None))):
        raise ValueError(f"`metrics` must be a list of Keras metrics or of their names. Received: metrics={metrics!r}")
    known = [word for name in reported for word in _SYNONYMS.get(name, ())]
    own = [metric for metric in metrics or [] if metric not in known]
    for metric in own:
        if getattr(metric, "name", None) in reported:
            raise ValueError(
                f"Metrics must have other names than {list(reported)}, which the model reports. Received: {metric!r}"
            )
    return own or None


def set_modes(callbacks, directions):
    """Gives callbacks that monitor one of the model's metrics in mode "auto" the mode that Keras cannot know.

    Keras looks for a direction among compiled metrics alone.

    Args:
        callbacks: what `fit` was given.
        directions: "min" or "max" by name of a metric.
    """
    callbacks = getattr(callbacks, "callbacks", callbacks) or []
    for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
        name = str(getattr(callback, "monitor", "")).removeprefix("val_")
        if getattr(callback, "mode", None) == "auto" and name in directions:
            callback.mode = directions[name]


def refuse_added_losses(backbone):
    """Raises ValueError where layers add losses of their outputs: `add_loss`, `activity_regularizer`.

    A layer says so when it is called, so it is called here, on symbols.
    """

    @tf.function(autograph=False)
    def losses(*inputs):
        weights = backbone.trainable_variables, backbone.non_trainable_variables
        return backbone.stateless_call(*weights, *inputs, training=True, return_losses=True)[2]

    inputs = backbone.inputs[0]
    graph_losses = losses.get_concrete_function(tf.TensorSpec((1, *inputs.shape[1:]), inputs.dtype)).structured_outputs
    if len(graph_losses) > len(regularized(backbone.trainable_variables)):
        raise ValueError(
            "Layers must not use `add_loss` or `activity_regularizer`: they would be ignored. Put the term into "
            f"`task_objective`. Received: a backbone {backbone.name!r} with {len(graph_losses)} losses"
        )


def not_compiled(serialized):
    """A serialized network without how it, and the models inside of it, were compiled: that was for a training of their own.

    A copy would make an optimizer, and a preset keep its state; and their loss may be a function, which no preset may name.
    """
    if isinstance(serialized, list):
        return [not_compiled(value) for value in serialized]
    if not isinstance(serialized, dict):
        return serialized
    return {key: not_compiled(value) for key, value in serialized.items() if key != "compile_config"}


def regularized(variables):
    """Those of the Keras variables that have a regularizer."""
    return [variable for variable in variables if getattr(variable, "regularizer", None) is not None]


def check_trainable(model):
    """Raises ValueError for a model without a weight to train, such as a frozen backbone under a method that adds none."""
    if not model.trainable_variables:
        raise ValueError(
            f"Training needs a weight that is trainable. Received: a {type(model).__name__} whose backbone "
            f"{model.backbone.name!r} has none"
        )
