"""The presets are laid out as the models that their configs build today."""

import sys

import numpy as np
import pytest

import zoo
from tests.presets import golden_logits
from trainers import builder
from zoo.presets import loader

PRESETS = zoo.list_presets()


@pytest.mark.parametrize("name", PRESETS)
def test_a_fresh_model_of_the_config_loads_the_weights(name):
    metadata = loader.preset_metadata(name)
    metadata["config"]["model"]["options"] |= metadata.get("answers", {})  # what it answers with since training
    metadata["config"].pop("precision", None)  # of its training: presets answer in float32
    fresh = builder.build_model(metadata["config"])
    fresh.load_weights(loader.preset_folder(name) / loader.WEIGHTS_FILE)
    expected = golden_logits.logits_of(zoo.from_preset(name))
    np.testing.assert_array_equal(golden_logits.logits_of(fresh), expected)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_answers_as_it_did_when_it_was_recorded(name):
    """A preset that was trained anew is recorded anew: python -m tests.presets.golden_logits NAME."""
    expected = golden_logits.recorded()[name]
    logits = golden_logits.logits_of(zoo.from_preset(name))
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max(), rtol=1e-4)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
