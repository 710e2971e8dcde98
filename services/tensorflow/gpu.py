"""How TensorFlow uses a GPU: with little memory, and with repeatable results.

Its twin is services/pytorch/device.py.
"""

import tensorflow as tf


def use_gpus(gpus: list[tf.config.PhysicalDevice], tf32: bool) -> None:
    """Prepare GPUs. Call it before anything runs on them.

    Args:
        gpus: All GPUs that TensorFlow sees.
        tf32: Whether products of float32 may round their factors to TF32.
            TensorFlow does so by default.
    """
    # By default, the first operation reserves nearly all memory of a GPU.
    # Then no other process could use the GPU.
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    set_tf32(tf32)
    # The faster operations add numbers in an order that varies. With them, a
    # resumed training would differ from an undisturbed one.
    tf.config.experimental.enable_op_determinism()


def set_tf32(is_allowed: bool) -> None:
    """Let float32 products of a GPU round their factors to TF32, or not."""
    tf.config.experimental.enable_tensor_float_32_execution(is_allowed)
