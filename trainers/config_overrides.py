"""`--config` and `--config.field=value`: errors that say what was expected, and the command that repeats a run."""

import pathlib
import re
import sys

from absl import flags
from ml_collections import ConfigDict, config_flags

from commands import calling, sources


def parse_flags(argv):
    """Parses the flags of a binary that has `--config`, for `launcher.run(main, parse=parse_flags)`.

    `--config` may be the name of a config that comes with the package. One that is not there, and a field that its config
    does not have, end the binary with one line.
    """
    argv = _with_files(argv)
    lines = "\n".join(argv)
    fields = re.findall(r"^--?config\.([\w.]+)", lines, re.MULTILINE)
    for field in fields:
        if (path := re.sub(r"\.(\d\w*)", r"['\1']", field)) != field:
            sys.exit(f"error: --config.{field}: a field that begins with a digit stands in brackets, {path}")
    paths = re.findall(r"^--?config[=\n](.+)", lines, re.MULTILINE)
    if fields and not paths:
        sys.exit(
            f"error: --config.{fields[0]} changes a field of a config: --config must name its file, such as "
            "configs/maml_sinusoid.py. Received: no --config"
        )
    try:
        rest = flags.FLAGS(argv)
        getattr(flags.FLAGS.config, "items", None)  # without its file, the config fails at the first look into it
        return rest
    except OSError:
        sys.exit(f"error: --config must name a config file, such as configs/maml_sinusoid.py. Received: {paths[-1]}")
    except (AttributeError, KeyError, TypeError):
        if paths:
            config = flags.FLAGS["config"].parser.parse(paths[-1])
            for field in fields:
                check_field(config, field)
        raise


def _with_files(argv):
    """The arguments with the file of each `--config`. Exits where there is none."""
    argv = list(argv)
    for place, argument in enumerate(argv):
        flag, equals, name = argument.partition("=")
        if flag not in ("--config", "-config"):
            continue
        after = place + 1 < len(argv) and not equals
        name = argv[place + 1] if after else name
        if name:
            try:
                file = str(sources.find_config(name))
            except ValueError as error:
                sys.exit(f"error: {error}")
            argv[place + after] = file if after else f"{flag}={file}"
    return argv


def repeating_command(module):
    """The command that repeats this run, quoted for a shell: the same config, changes and precision, in a workdir named after the config."""
    flag = flags.FLAGS["config"]
    path, here = pathlib.Path(config_flags.get_config_filename(flag)), pathlib.Path.cwd()
    path = path.parent.resolve() / path.name  # a config that is a link keeps its name
    if path.is_relative_to(here):
        shown = path.relative_to(here)
    else:
        shown = path.stem if path.parent == sources.CONFIGS.resolve() else path
    changes = [f"--config.{field}={value}" for field, value in config_flags.get_override_values(flag).items()]
    precision = flags.FLAGS["precision"]
    changes += [] if precision.value == precision.default else [f"--precision={precision.value}"]
    return calling.command_line(module, f"--config={shown}", f"--workdir=runs/{path.stem}", *changes)


def check_field(config, field):
    """Exits where `config` has no such field, `outer.num_steps`, and says which there are."""
    name = "config"
    for part in field.split("."):
        if not isinstance(config, ConfigDict):
            sys.exit(f"error: --config.{field}: `{name}` is {config!r} and has no fields. Received: {part!r}")
        if part not in config:
            sys.exit(f"error: --config.{field}: the fields of `{name}` are {sorted(config)}. Received: {part!r}")
        name, config = f"{name}.{part}", config[part]
