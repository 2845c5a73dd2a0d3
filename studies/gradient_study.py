"""Measures what the gradients of MAML, FOMAML and Reptile are made of, or trains on combinations of inner gradients.

python -m studies.gradient_study --output_dir=DIR [--preset=NAME | --workdir=DIR | --config=configs/NAME.py]
    The terms A and B on tasks of the model's data set, and the exact directions beside their leading order as alpha shrinks:
    gradient_terms.md, .json and .png. Without a model: a fresh MAML on glyphs.

python -m studies.gradient_study --combine --output_dir=DIR [--config=configs/NAME.py | --dataset=glyphs]
    Outer updates g1, g2, g1+g2, (g1+g2)/2 .. g4 from the same start: gradient_combinations.md, .json and .png, written anew at
    each evaluation. Without a config: configs/reptile_omniglot_5way_1shot.py. The paper trains for 40,000 iterations, and the
    default is the start of that; with --inner_learning_rate=0.03, ten times the published one, it shows the order of the curves.
"""

import json
import signal
import threading

from absl import app, flags
from ml_collections import config_flags

from commands import launcher, path_flags, sources
from trainers.config_overrides import parse_flags

_PRESET = path_flags.define("preset", "Name or folder of a preset to measure.")
_WORKDIR = path_flags.define("workdir", "Folder of a training run to measure.")
_CONFIG = config_flags.DEFINE_config_file("config", None, "Config of a fresh model; its fields are flags.")
_DATASET = flags.DEFINE_string("dataset", None, "Data set with its default options, in place of the config's.")
_OUTPUT_DIR = path_flags.define("output_dir", "Folder to write into.")
_SEED = flags.DEFINE_integer("seed", None, "Seed of fresh weights and episodes; the config's when left out.", 0)
_SHOT = flags.DEFINE_integer("shot", None, "Images per class of a minibatch; 1 when left out, 5 with --combine.", 1)

_NUM_TASKS = flags.DEFINE_integer("num_tasks", 20, "Tasks to measure.", 2)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 3, "Minibatches k of a task; the cost grows with k!.", 2, 4)
_ALPHAS = flags.DEFINE_list("alphas", "1e-2,1e-3,1e-4,1e-5,1e-6,1e-7", "Inner step sizes, at least two.")
_SUBSET = flags.DEFINE_enum("subset", "train", ("train", "validation", "test"), "Classes to draw the tasks from.")

_SMOOTH = flags.DEFINE_bool("smooth", False, "Measure with softplus in place of ReLU, whose kinks have no Hessian.")

_COMBINE = flags.DEFINE_bool("combine", False, "Train on combinations of inner gradients instead.")
_NUM_ITERATIONS = flags.DEFINE_integer("num_iterations", 2500, "Outer iterations.", 1)
_EVALUATE_EVERY = flags.DEFINE_integer("evaluate_every", 500, "Outer iterations between evaluations.", 1)
_EPISODES = flags.DEFINE_integer("episodes", 100, "Test episodes of an evaluation.", 2)
_INNER_LEARNING_RATE = flags.DEFINE_float("inner_learning_rate", 0.003, "alpha of the inner SGD.", 0.0)
_TASKS = flags.DEFINE_integer("tasks", 1, "Tasks of an outer iteration.", 1)


def choose_config(default):
    """The config that the flags ask for, as plain data: of the preset, the run or the file, else `default`."""
    from trainers import builder
    from zoo.presets.loader import training_config

    source = _PRESET.value or _WORKDIR.value
    if source:
        config = training_config(source)
    else:
        config = builder.to_dict(_CONFIG.value if _CONFIG.value is not None else default)
    if _DATASET.value:
        config["dataset"] = {"name": _DATASET.value, "options": {}, "train_options": {}}
    if _SEED.value is not None:
        config["seed"] = _SEED.value
    way = config["train"]["way"]
    if isinstance(way, (list, tuple)):
        raise ValueError(
            "`config.train.way` must be one number: a study compares minibatches of the same classes. "
            f"Received: {list(way)}; --config.train.way={way[-1]} chooses one"
        )
    return config


def measure_terms(folder):
    """Writes gradient_terms.md, .json and .png."""
    from configs import maml_omniglot_5way_1shot
    from studies import gradient_measurements, gradient_report
    from trainers import builder, checks
    from zoo.core.files import write_text

    default = maml_omniglot_5way_1shot.get_config()
    default.dataset = {"name": "glyphs", "options": {}, "train_options": {}}
    config, alphas, source = (
        choose_config(default),
        gradient_measurements.parse_alphas(_ALPHAS.value),
        _PRESET.value or _WORKDIR.value,
    )
    protocol = {"way": config["train"]["way"], "shot": _SHOT.value or 1}
    model = gradient_measurements.build_in_float64(config, source, _SMOOTH.value)
    tasks = builder.build_tasks(config["dataset"], _SUBSET.value)
    checks.check_input_shape(model, tasks, config)
    result = gradient_measurements.measure(
        model,
        tasks,
        protocol,
        _NUM_STEPS.value,
        _NUM_TASKS.value,
        alphas,
        builder.stream_seed(config["seed"], _SUBSET.value),
    )
    setting = _setting(config) | {"weights": source or "fresh", "subset": _SUBSET.value, **protocol}
    setting |= {
        "num_steps": _NUM_STEPS.value,
        "num_tasks": _NUM_TASKS.value,
        "smooth": _SMOOTH.value,
        "seed": config["seed"],
    }
    write_text(folder / "gradient_terms.json", json.dumps({"setting": setting, **result}, indent=1) + "\n")
    write_text(folder / "gradient_terms.md", gradient_report.terms_document(setting, result))
    gradient_report.plot_terms(folder / "gradient_terms.png", result)


def stop_at_ctrl_c():
    """An event that the first Ctrl-C sets; a second one ends the process at once.

    Python's own handler raises wherever the process happens to be; about half of the runs stopped that way died in TensorFlow.
    """
    interrupted = threading.Event()

    def handle(*_):
        interrupted.set()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, handle)
    return interrupted


def train_combinations(folder):
    """Writes gradient_combinations.md, .json and .png at each evaluation."""
    from configs import reptile_omniglot_5way_1shot
    from studies import gradient_combinations
    from trainers import builder, distribute

    config, shot = choose_config(reptile_omniglot_5way_1shot.get_config()), _SHOT.value or 5
    distribute.configure_threads(builder.method_class(config))
    model = gradient_combinations.build_model(config, shot, _INNER_LEARNING_RATE.value)
    train_tasks, test_tasks = (builder.build_tasks(config["dataset"], subset) for subset in ("train", "test"))
    settings = {
        "way": config["train"]["way"],
        "shot": shot,
        "num_tasks": _TASKS.value,
        "num_iterations": _NUM_ITERATIONS.value,
        "evaluate_every": _EVALUATE_EVERY.value,
        "num_episodes": _EPISODES.value,
        "seed": config["seed"],
    }
    setting = {
        **_setting(config),
        **settings,
        "inner_learning_rate": _INNER_LEARNING_RATE.value,
        "test_inner_steps": gradient_combinations.TEST_STEPS,
        "batch_norm_mode": model.batch_norm_mode,
    }
    interrupted, records = stop_at_ctrl_c(), []
    for record in gradient_combinations.train(model, train_tasks, test_tasks, **settings, stop=interrupted.is_set):
        records.append(record)
        write_combinations(folder, setting, records, model.episode_metric.name)
        results = ", ".join(f"{name} {mean:.3f}" for name, (mean, _) in record["results"].items())
        print(f"iteration {record['iteration']} ({record['seconds']:.0f} s): {results}", flush=True)
    if interrupted.is_set():
        raise KeyboardInterrupt(f"interrupted: {folder} holds what was evaluated before")


def write_combinations(folder, setting, records, metric):
    """Writes the records so far as gradient_combinations.md, .json and .png."""
    from studies import gradient_combinations, gradient_report
    from zoo.core.files import write_text

    combinations = gradient_combinations.COMBINATIONS
    meta_steps = {combination.name: combination.meta_step for combination in combinations}
    content = {"setting": setting, "metric": metric, "meta_steps": meta_steps, "records": records}
    write_text(folder / "gradient_combinations.json", json.dumps(content, indent=1) + "\n")
    document = gradient_report.combinations_document(setting, records, combinations, metric)
    write_text(folder / "gradient_combinations.md", document)
    gradient_report.plot_combinations(folder / "gradient_combinations.png", records, combinations, metric)


def _setting(config):
    model, data = config["model"], config["dataset"]
    described = {"method": model["method"], "backbone": model["backbone"], "dataset": data["name"], **data["options"]}
    return described | {f"{name} in training": value for name, value in data["train_options"].items()}


def main():
    if sum(value is not None for value in (_PRESET.value, _WORKDIR.value, _CONFIG.value)) > 1:
        raise app.UsageError("Give at most one of --preset, --workdir and --config.")
    if _COMBINE.value and (_PRESET.value or _WORKDIR.value):
        raise app.UsageError("--combine starts from fresh weights: give a --config, or nothing.")
    if _WORKDIR.value or _PRESET.value:
        sources.chosen_source(_WORKDIR.value, _PRESET.value)
    sources.check_output_folder(_OUTPUT_DIR.value, "--output_dir")
    with launcher.imports():
        import zoo  # noqa: F401

    folder = sources.writable_folder(_OUTPUT_DIR.value, "--output_dir")
    (train_combinations if _COMBINE.value else measure_terms)(folder)
    for suffix in ("md", "json", "png"):
        print(folder / f"{'gradient_combinations' if _COMBINE.value else 'gradient_terms'}.{suffix}")


if __name__ == "__main__":
    launcher.run(main, required=["output_dir"], parse=parse_flags)
