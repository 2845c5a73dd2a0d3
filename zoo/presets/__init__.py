"""Trained models that come with the package."""

from zoo.presets.loader import from_preset, list_presets, preset_metadata, untrained
