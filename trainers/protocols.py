"""Results of a trained model by the protocols of its config, each with its interval over test episodes."""

import keras
import numpy as np
import tensorflow as tf

from publishing.results import format_count
from trainers import builder, checks, class_record
from trainers.distribute import describe_machine
from trainers.workdir import METRICS_FILE, read_metrics, validations
from zoo.core.metrics import lower_is_better
from zoo.model_based.presentation_accuracy import PresentationAccuracy
from zoo.presets import from_preset, preset_metadata, untrained
from zoo.presets.loader import training_config


def chosen_protocols(protocols, only=None, **counts):
    """The protocols to evaluate, by name.

    Args:
        protocols: those of the config, by name.
        only: names of some of them; all when None.
        **counts: way, shot and query to put in place of theirs; None changes nothing. A protocol that this changes is named
            after it, `5way_1shot with shot=3`; of those that become the same, the first is left.

    Raises:
        ValueError: for an unknown name.
    """
    unknown = sorted(set(only or ()) - set(protocols))
    if unknown:
        raise ValueError(f"`--protocols` must be among {sorted(protocols)}. Received: {unknown}")
    chosen = {}
    for name, protocol in protocols.items():
        if only and name not in only:
            continue
        changes = {
            key: value
            for key, value in counts.items()
            if value is not None and value != builder.as_count(protocol[key])
        }
        if changes:
            name += " with " + ", ".join(f"{key}={format_count(value)}" for key, value in changes.items())
        changed = {**protocol, **changes}
        if changed not in chosen.values():
            chosen[name] = changed
    return chosen


def evaluate_preset(name_or_folder, subset="test", num_episodes=None, seed=None, only=None, **counts):
    """The results of the protocols of the model's config.

    Args:
        name_or_folder: as in `zoo.from_preset`.
        subset: "validation" or "test".
        num_episodes: per protocol; the config's when None.
        seed: of the episodes; the config's when None.
        only, **counts: as in `chosen_protocols`.

    Returns:
        (results, tasks): one dict per protocol, and the tasks they were drawn from.

    Raises:
        ValueError: where there is no such preset or protocol, where data or model do not fit a protocol, or the data's classes
            are not those that the model was made with; before the first protocol is evaluated.
    """
    config = training_config(name_or_folder)
    part = config["evaluation"]
    chosen = chosen_protocols(part["protocols"], only, **counts)
    num_episodes, seed = num_episodes or part["episodes"], config["seed"] if seed is None else seed
    checks.check_num_episodes("episodes", num_episodes, part["tasks"])
    tasks, model = builder.build_tasks(config["dataset"], subset), untrained(name_or_folder)
    class_record.check_preset(name_or_folder, subset, tasks)
    checks.check_input_shape(model, tasks, config)
    for name, protocol in chosen.items():
        checks.check_protocol(name, protocol, part["tasks"], model, tasks, subset)
    results = []
    for name, protocol in chosen.items():
        model = from_preset(name_or_folder, **protocol["overrides"])
        measured = evaluate_model(model, tasks, protocol, num_episodes, part["tasks"], subset, seed)
        described = {"protocol": name, **measured, **config["dataset"]["options"], **protocol["overrides"]}
        results.append({"dataset": config["dataset"]["name"], **described})
    return results, tasks


def evaluate_model(model, tasks, protocol, num_episodes, num_tasks, subset, seed):
    """One result: mean and 95 % half-width over `num_episodes` seeded episodes, with what they were."""
    checks.check_num_episodes("episodes", num_episodes, num_tasks)
    episodes = builder.episodes(tasks, protocol, builder.stream_seed(seed, subset), num_tasks)
    model.compile()
    logs = model.evaluate(episodes, steps=num_episodes // num_tasks, verbose=0, return_dict=True)
    metric = model.episode_metric.name
    # A metric of the method's own that no episode counted towards is left out.
    own = [extra for extra in model.additional_metrics if float(extra.num_episodes) > 0]
    measured = {extra: [float(logs[extra.name]), float(logs[f"{extra.name}_ci95"])] for extra in own}
    presentations = [value for extra, value in measured.items() if isinstance(extra, PresentationAccuracy)]
    additional = {extra.name: value for extra, value in measured.items() if not isinstance(extra, PresentationAccuracy)}
    return {
        "metric": metric,
        "mean": float(logs[metric]),
        "ci95": float(logs[f"{metric}_ci95"]),
        "episodes": num_episodes,
        "way": protocol["way"],
        "shot": protocol["shot"],
        "query": protocol["query"],
        **{name: protocol[name] for name in ("within_groups",) if name in protocol},
        "subset": subset,
        **({"classes": _num_classes(tasks, protocol)} if protocol["way"] is not None else {}),
        **({"known_classes": True} if getattr(tasks, "image_names", None) is not None else {}),
        "batch_norm_mode": model.batch_norm_mode,
        "seed": seed,
        **({"presentations": presentations} if presentations else {}),
        **({"additional": additional} if additional else {}),
    }


def _num_classes(tasks, protocol):
    """How many classes the episodes of a protocol are drawn from: those that have images enough."""
    shot = builder.as_count(protocol["shot"])
    needed = (shot[1] if isinstance(shot, tuple) else shot) + protocol["query"]
    return sum(len(rows) >= needed for rows in tasks.members)


def training_cost(workdir):
    """What the training run took: steps, step of the kept weights, seconds, and the machines that it ran on, in their order.

    Raises:
        ValueError: where no validation is recorded: a run that was killed before its first checkpoint and began anew has weights
            and no record of them until it validates again.
    """
    records = read_metrics(workdir)
    trained = [record for record in records if "loss" in record]
    validated = validations(records)
    if not validated:
        raise ValueError(
            f"`--workdir` must hold the record of a validation, in {METRICS_FILE}: evaluate the run when it has validated. "
            f"Received: {workdir}, with {len(records)} records and none of a validation"
        )
    machines = preset_metadata(workdir).get("machines") or [describe_machine()]  # older runs do not tell
    (metric,) = (name for name in ("validation_accuracy", "validation_mean_squared_error") if name in validated[0])
    best = (min if lower_is_better(metric) else max)(validated, key=lambda record: record[metric])
    return {
        "steps": trained[-1]["step"],
        "kept_step": best["step"],
        "seconds": round(max(trained[-1]["seconds"], validated[-1]["seconds"]), 1),
        "machine": "; then ".join(machines),
        "versions": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    }


def predict_episode(name_or_folder, tasks, protocol, seed):
    """One episode and the model's answers to it: (x, y, outputs) as arrays, and the names of its classes or None."""
    model = from_preset(name_or_folder, **protocol["overrides"])
    seed = builder.stream_seed(seed, "test")
    x, y = next(iter(builder.episodes(tasks, protocol, seed, 1)))
    arrays = {key: np.asarray(value) for key, value in x.items()}
    return arrays, np.asarray(y), np.asarray(model(x)), builder.drawn_names(tasks, protocol, seed)
