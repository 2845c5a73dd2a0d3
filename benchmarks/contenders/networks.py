"""The networks of the steps, once for both libraries: `lib` names the ops, see `with_pytorch` and `with_jax`."""


def embed(lib, network, blocks, x):
    """Conv-4: four times a convolution, BatchNorm by the batch, and max-pool and ReLU, or a stride of 2 and ReLU."""
    strided = network["name"] == "strided_conv4"
    for kernel, gamma, beta in blocks:
        x = lib.batch_norm(lib.convolution(x, kernel, 2 if strided else 1), gamma, beta)
        x = lib.relu(x if strided else lib.max_pool(x))
    return lib.flatten(x)


def logits(lib, features, head):
    return features @ head[0] + head[1]
