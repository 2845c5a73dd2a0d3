import sys

import numpy as np
import pytest

from zoo import datasets


def test_targets_lie_on_sinusoids_of_the_published_ranges():
    """y = A sin(x - phi) is linear in A cos(phi) and A sin(phi): fit both on support and queries together."""
    tasks = datasets.load("sinusoid", "train")
    amplitudes, phases = [], []
    for x, y in tasks.episodes(shot=10, query=10, num_tasks=50, seed=0).take(4):
        points = np.concatenate([x["support_x"], x["query_x"]], axis=1)[..., 0]
        targets = np.concatenate([x["support_y"], y], axis=1)[..., 0]
        assert np.abs(points).max() <= 5
        for p, t in zip(points, targets):
            (a, b), residual, _, _ = np.linalg.lstsq(np.stack([np.sin(p), -np.cos(p)], axis=1), t, rcond=None)
            assert residual < 1e-6
            amplitudes.append(np.hypot(a, b))
            phases.append(np.arctan2(b, a))
    assert 0.1 <= min(amplitudes) < 0.5 and 4.5 < max(amplitudes) <= 5.0
    assert 0 <= min(phases) < 0.2 and 2.9 < max(phases) <= np.pi + 1e-4


def test_seed_start_and_subset_fix_the_tasks():
    draw = lambda subset="train", **options: [  # noqa: E731
        y.numpy()
        for _, y in datasets.load("sinusoid", subset).episodes(shot=2, query=3, num_tasks=2, **options).take(3)
    ]
    np.testing.assert_array_equal(draw(seed=1)[2], draw(seed=1, start=2)[0])
    assert (draw(seed=1)[0] != draw(seed=2)[0]).any()
    assert (draw(seed=1)[0] != draw("test", seed=1)[0]).any()


def test_tasks_do_not_depend_on_how_they_are_batched():
    tasks = datasets.load("sinusoid", "train")
    (whole,) = [y.numpy() for _, y in tasks.episodes(shot=2, query=3, num_tasks=4, seed=5).take(1)]
    halves = [
        next(iter(tasks.episodes(shot=2, query=3, num_tasks=2, seed=5, shard=(2, i))))[1].numpy() for i in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate(halves), whole)


def test_bad_arguments_are_named():
    tasks = datasets.load("sinusoid", "test")
    with pytest.raises(ValueError, match="`way` must be None. Received: way=5"):
        tasks.episodes(way=5)
    with pytest.raises(ValueError, match="`shot` must be an int of at least 1. Received: shot=0"):
        tasks.episodes(shot=0)
    with pytest.raises(ValueError, match=f"`seed` must be an int from 0 to .* Received: seed={2**62}"):
        tasks.episodes(seed=2**62)  # times 3 subsets it is no int64
    for options in ({"seed": "0"}, {"shot": True}, {"start": -1}, {"shard": (1, 1)}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
            tasks.episodes(**options)
    with pytest.raises(ValueError, match="`subset` must be one of"):
        datasets.load("sinusoid", "dev")
    with pytest.raises(ValueError, match=r"Options of 'sinusoid' must be among \[\]. Received: \['way'\]"):
        datasets.load("sinusoid", way=5)
    with pytest.raises(
        ValueError, match=r"Options of 'glyphs' must be among \['distortions', 'image_size'\]. Received: \['size'\]"
    ):
        datasets.load("glyphs", size=5, image_size=28)
    with pytest.raises(ValueError, match="Unknown data set: expected one of .* Received: 'mnist'"):
        datasets.load("mnist")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
