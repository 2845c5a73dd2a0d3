"""The steps of methods that read their rows by an LSTM, for all tasks at once, as a user of PyTorch or JAX writes them.

`lib` is that of `steps`. Images of a batch are [T, rows, ...], what is made of them float [T, rows, D].
"""

from benchmarks.contenders import networks


def quarters(values, axis=-1):
    """The four parts of the last axis, or of the first."""
    size = values.shape[axis] // 4
    parts = [slice(part * size, (part + 1) * size) for part in range(4)]
    return [values[..., part] if axis else values[part] for part in parts]


def lstm(lib, i, f, o, u, cell):
    """(h, c) after one step."""
    cell = lib.sigmoid(f) * cell + lib.sigmoid(i) * lib.tanh(u)
    return lib.sigmoid(o) * lib.tanh(cell), cell


def embed_together(lib, row, weights, batch, embed):
    """The embeddings of the support images and of the queries, normalized together."""
    x, _, query_x, _ = batch
    images = lib.join([x, query_x], 1)
    tasks, rows = images.shape[:2]
    features = embed(lib, row["network"], weights["blocks"], images.reshape(tasks * rows, *images.shape[2:]))
    features = features.reshape(tasks, rows, -1)
    return features[:, : x.shape[1]], features[:, x.shape[1] :]


def full_context(lib, row):
    """The loss of a Matching Network with full-context embeddings, K = 3."""

    def cell(weights, x, recurrent, c):
        kernel, bias = weights
        return lstm(lib, *quarters(lib.join([x, recurrent], -1) @ kernel + bias), c)

    def read(weights, rows):  # [S, T, D] -> [S, T, D]
        def step(state, x):
            state = cell(weights, x, *state)
            return state, state[0]

        return lib.scan(step, (0 * rows[0], 0 * rows[0]), rows)[1]

    def batch_loss(weights, batch):
        support, queries = embed_together(lib, row, weights, batch, networks.embed)
        more = weights["more"]
        rows = support.swapaxes(0, 1)
        backward = lib.flip(read(more["backward"], lib.flip(rows)))
        keys = (read(more["forward"], rows) + backward).swapaxes(0, 1) + support
        h = c = 0 * queries
        for _ in range(3):
            attention = lib.softmax(h @ keys.swapaxes(1, 2))
            h, c = cell(more["attention"], queries, lib.join([h, attention @ keys], -1), c)
            h = h + queries
        attention = lib.softmax(h @ _normalized(lib, keys).swapaxes(1, 2))
        probabilities = attention @ lib.one_hot(batch[1], row["way"])
        return -lib.log((probabilities * lib.one_hot(batch[3], row["way"])).sum(-1)).mean()

    return batch_loss


def mann(lib, row):
    """The loss of MANN: 128 slots of 40 numbers, 4 heads, 200 units, usage decay 0.99."""
    slots, width, heads, units, way = 128, 40, 4, 200, row["way"]

    def embed(lib, network, blocks, images):
        features = networks.embed(lib, {**network, "name": "strided_conv4"}, blocks, images)
        return lib.join([lib.flatten(lib.average_pool(images)), features], -1)

    def present(more, state, inputs):
        memory, usage, read_weights, read, h, c = state
        i, f, u, o = quarters(inputs + lib.join([h, read], -1) @ more["recurrent"])
        h, c = lstm(lib, i, f + 1, o, u, c)
        keys = lib.tanh(h @ more["key"][0] + more["key"][1]).reshape(-1, heads, width)
        gate = lib.sigmoid(h @ more["write_gate"][0] + more["write_gate"][1])[..., None]
        least_used = lib.one_hot(lib.argsort(lib.constant(usage))[:, :heads], slots)  # [T, heads, slots]
        write_weights = gate * read_weights + (1 - gate) * least_used.sum(1)[:, None]
        memory = memory * (1 - least_used[:, 0])[..., None] + write_weights.swapaxes(1, 2) @ keys
        cosines = _normalized(lib, keys) @ _normalized(lib, memory).swapaxes(1, 2)
        read_weights = lib.softmax(cosines)
        read = (read_weights @ memory).reshape(-1, heads * width)
        usage = 0.99 * usage + (read_weights + write_weights).sum(1)
        return memory, usage, read_weights, read, h, c

    def log_probabilities(more, state):
        return lib.log_softmax(lib.join([state[4], state[3]], -1) @ more["output"][0] + more["output"][1])

    def batch_loss(weights, batch):
        more = weights["more"]
        support, queries = embed_together(lib, row, weights, batch, embed)
        labels, wanted = (lib.one_hot(batch[part], way) for part in (1, 3))
        tasks, num_queries = labels.shape[0], queries.shape[1]

        def gates(images, labels):
            return images @ more["image"][0] + more["image"][1] + labels @ more["label"]

        def step(state, inputs):
            state = present(more, state, inputs)
            return state, log_probabilities(more, state)

        first = lib.one_hot(0 * batch[1][:, 0], slots)
        state = (
            lib.full((tasks, slots, width), 1e-6),
            first,
            lib.join([first[:, None]] * heads, 1),
            *(lib.full((tasks, size), 0.0) for size in (heads * width, units, units)),
        )
        arrived = lib.join([0 * labels[:, :1], labels[:, :-1]], 1)
        state, stream = lib.scan(step, state, gates(support, arrived).swapaxes(0, 1))
        # Every query is a step of its own after the stream.
        last = lib.join([labels[:, -1:]] * num_queries, 1)
        state = [lib.join([v[:, None]] * num_queries, 1).reshape(tasks * num_queries, *v.shape[1:]) for v in state]
        asked = gates(queries, last).reshape(tasks * num_queries, -1)
        answers = log_probabilities(more, present(more, state, asked)).reshape(tasks, num_queries, way)
        right = (stream.swapaxes(0, 1) * labels).sum() + (answers * wanted).sum()
        return -right / (tasks * (labels.shape[1] + num_queries))

    return batch_loss


def _normalized(lib, values):
    return values * lib.maximum((values**2).sum(-1), 1e-12)[..., None] ** -0.5
