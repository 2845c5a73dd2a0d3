"""The rows of `rows.py` as configs of the trainers."""

from configs import common


def get_config(row):
    """`configs.common.get_config` with a row's model and counts; its episodes are drawn from glyphs, which are grey."""
    config = common.get_config()
    image_size = row["network"]["options"]["input_shape"][0]
    config.dataset = {"name": "glyphs", "options": {"image_size": image_size}, "train_options": {}}
    counts = {key: row[key] for key in ("way", "shot", "query")}
    config.train = {**counts, "tasks": row["tasks"]}
    config.evaluation.protocols = {"as_trained": {**counts, "overrides": {}}}
    config.model = {
        "method": row["method"],
        "options": row["options"],
        "backbone": row["network"]["name"],
        "backbone_options": row["network"]["options"],
    }
    return config
