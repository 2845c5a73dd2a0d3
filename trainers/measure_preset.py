"""Measures a committed preset anew: with the code and by the protocols of its config file as they are now.

python -m trainers.measure_preset --preset=NAME [--answers=query_statistics=support] [--episodes=1000]

Runs at the top of the repository, and writes the results into the preset's model.json and card.md; its weights stay. Then
`python -m publishing.publish` brings the tables of README and docs up to date.
"""

from absl import app, flags

from commands import launcher, path_flags, sources

_PRESET = path_flags.define("preset", "Name of the preset.")
_ANSWERS = flags.DEFINE_list(
    "answers", [], "Arguments of the model that its answers take from now on, where training had others: name=value."
)
_EPISODES = flags.DEFINE_integer("episodes", None, "Test episodes per protocol; the config's number when left out.", 1)


def main():
    folder = sources.PRESETS / _PRESET.value
    sources.check_repository()
    sources.check_preset(folder)
    answers = {}
    for argument in _ANSWERS.value:
        name, equals, answers[name] = argument.partition("=")
        if not equals:
            raise app.UsageError(f"`--answers` must be name=value pairs. Received: {argument!r}")
    with launcher.imports():
        from publishing.results import describe_protocol, format_result
        from trainers import reporting

    for result in reporting.measure_preset(folder, answers, _EPISODES.value):
        print(f"{result['protocol']}: {result['metric']} {format_result(result)} ({describe_protocol(result)})")


if __name__ == "__main__":
    launcher.run(main, required=["preset"])
