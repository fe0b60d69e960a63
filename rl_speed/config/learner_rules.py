"""What the fields of a configuration demand of a network and of its targets; see rules.py."""

from __future__ import annotations

from rl_speed.config.schema import RunConfig

LARGEST_RETURN = 1e6  # float32 still tells atoms apart there


def convolutions_have_equal_lists(config: RunConfig) -> str | None:
    """One entry per convolution in each list."""
    network = config.network
    if network.kind == "impala":
        return None if network.channels else "network.channels = [] must have one entry per stage, e.g. [16, 32, 32]"
    if 1 <= len(network.channels) == len(network.kernels) == len(network.strides):
        return None
    return (
        f"network.channels, network.kernels and network.strides must have one entry per convolution each, "
        f"not {len(network.channels)}, {len(network.kernels)} and {len(network.strides)}"
    )


def convolutions_have_sizes(config: RunConfig) -> str | None:
    """Positive sizes that memory can hold."""
    used = ("channels",) if config.network.kind == "impala" else ("channels", "kernels", "strides")
    for name in used:
        values = getattr(config.network, name)
        if min(values) < 1 or max(values) > 4096:
            return f"network.{name} = {list(values)} must hold integers from 1 to 4096"
    return None


def fused_kernel_is_whole_blocks(config: RunConfig) -> str | None:
    """The fused first layer reads blocks of stride x stride pixels."""
    network = config.network
    if network.fused is not True or network.can_be_fused:
        return None
    if network.kind == "impala":
        return "network.fused = true is for network.kind = convolutional, not impala; set it to false"
    return (
        f"network.fused = true needs a first kernel that is a multiple of its stride, not {network.kernels[0]} "
        f"and {network.strides[0]}; set it to false"
    )


def convolutions_fit_the_frame(config: RunConfig) -> str | None:
    """Every convolution has at least one pixel left to give."""
    network, envs = config.network, config.envs
    if network.kind == "impala":  # it pads
        return None
    height, width = envs.frame_height, envs.image_width
    for kernel, stride in zip(network.kernels, network.strides, strict=True):
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        if min(height, width) < 1:
            return (
                f"network.kernels = {list(network.kernels)} with network.strides = {list(network.strides)} shrink a "
                f"{envs.frame_height}x{envs.image_width} image to nothing; use fewer or smaller ones"
            )
    return None


def value_range_rises(config: RunConfig) -> str | None:
    """From the lowest to the highest return."""
    lowest, highest = config.network.value_range
    if max(abs(lowest), abs(highest)) > LARGEST_RETURN or highest - lowest < 1 / LARGEST_RETURN:
        return (
            f"network.value_range = {[lowest, highest]} must rise, by {1 / LARGEST_RETURN:g} at least, and lie within "
            f"{-LARGEST_RETURN:g} and {LARGEST_RETURN:g}; write the lower return first"
        )
    return None


def one_way_chooses_the_next_action(config: RunConfig) -> str | None:
    """Munchausen's softmax leaves nothing to choose."""
    update = config.update
    if not (update.double and update.munchausen is not None):
        return None
    return (
        f"update.double = true and update.munchausen = {update.munchausen} exclude each other; set the first to false "
        f"or the second to null"
    )
