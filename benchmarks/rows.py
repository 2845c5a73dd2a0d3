"""The steps that are timed, as plain data: every contender reads them, in whatever environment it runs."""

CONV4 = {"input_shape": (28, 28, 1), "filters": 64, "standardize": False}
COLOUR = {**CONV4, "input_shape": (84, 84, 3)}
BY_BATCH = {"statistics": "batch"}


def _row(label, method, counts, backbone="conv4", backbone_options=CONV4, evaluated=0, **options):
    way, shot, query, tasks = counts
    network = {"name": backbone, "options": backbone_options}
    counts = {"way": way, "shot": shot, "query": query, "tasks": tasks}
    row = {"label": label, "method": method, **counts, "network": network, "options": options}
    return {**row, "evaluated": evaluated}


def _maml(
    label, method, num_inner_steps, way, query, tasks, backbone_options=CONV4, evaluated=0, inner_learning_rate=0.1
):
    options = {"way": way, "num_inner_steps": num_inner_steps, "inner_learning_rate": inner_learning_rate}
    options["query_statistics"] = "queries"  # as peers write MAML
    backbone_options = {**backbone_options, **BY_BATCH}
    return _row(label, method, (way, 1, query, tasks), "conv4", backbone_options, evaluated=evaluated, **options)


# Counts are (way, shot, query, tasks).
# `evaluated`: 0 for a training step, else its tasks are answered and nothing is trained: the times are those of so many episodes.
ROWS = {
    "maml_5_steps": _maml("MAML second order, 5 steps, 4 tasks, 15 queries", "MAML", 5, 5, 15, 4),
    "maml_1_step": _maml("MAML second order, 1 step, 32 tasks, 1 query", "MAML", 1, 5, 1, 32),
    # With rates of 0.1 rounding grows over the steps until losses of the same step differ by more than 0.1 %, here and in colour.
    "maml_20_way": _maml(
        "MAML second order, 20-way, 5 steps, 16 tasks, 1 query", "MAML", 5, 20, 1, 16, inner_learning_rate=0.01
    ),
    "maml_colour": _maml(
        "MAML second order, 84x84, 32 filters, 5 steps, 4 tasks, 15 queries",
        "MAML",
        5,
        5,
        15,
        4,
        {**COLOUR, "filters": 32},
        inner_learning_rate=0.01,
    ),
    "fomaml": _maml("FOMAML, 5 steps, 4 tasks, 15 queries", "FOMAML", 5, 5, 15, 4),
    "anil": _maml("ANIL, 5 steps, 4 tasks, 15 queries", "ANIL", 5, 5, 15, 4),
    "reptile": _row(
        "Reptile, strided Conv-4, 5 steps of 10 of 50 images, 5 tasks",
        "Reptile",
        (5, 10, 1, 5),
        "strided_conv4",
        {**CONV4, "scale": True, "pooling": "flatten"},
        way=5,
        num_inner_steps=5,
        inner_batch=10,
        inner_learning_rate=1e-3,
        inner_optimizer="adam",
    ),
    "protonet": _row("Prototypical Network, 60-way 1-shot, 5 queries", "PrototypicalNetwork", (60, 1, 5, 1)),
    "protonet_colour": _row(
        "Prototypical Network, 84x84, 20-way 1-shot, 15 queries",
        "PrototypicalNetwork",
        (20, 1, 15, 1),
        backbone_options=COLOUR,
    ),
    "maml_evaluation": _maml(
        "Evaluation of 1,000 episodes: MAML, 5 steps, 15 queries", "MAML", 5, 5, 15, 4, evaluated=1000
    ),
    "matching_fce": _row(
        "Matching Network, full-context, 20-way 1-shot, 5 queries, 4 tasks",
        "FullContextMatchingNetwork",
        (20, 1, 5, 4),
    ),
    "mann": _row(
        "MANN, streams of 50 images, 16 tasks",
        "MANN",
        (5, 9, 1, 16),
        "pixels_and_conv4",
        {"input_shape": (28, 28, 1), "filters": 32},
        way=5,
    ),
    "meta_network": _row(
        "Meta Network, 5-way 1-shot, 1 query, 4 tasks",
        "MetaNetwork",
        (5, 1, 1, 4),
        "conv5",
        {"input_shape": (28, 28, 1), "filters": 64},
        way=5,
    ),
    "lstm_meta_learner": _row(
        "LSTM meta-learner, 32 filters, 5 steps, 1 task, 15 queries",
        "LSTMMetaLearner",
        (5, 1, 15, 1),
        backbone_options={**CONV4, "filters": 32},
        way=5,
        num_inner_steps=5,
    ),
}


def check(names):
    """The rows of these names; all for none.

    Raises:
        ValueError: for an unknown name.
    """
    unknown = sorted(set(names or ()) - set(ROWS))
    if unknown:
        raise ValueError(f"`--rows` must be among {sorted(ROWS)}. Received: {unknown}")
    return {name: ROWS[name] for name in names or ROWS}
