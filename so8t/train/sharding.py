"""A base larger than a device: each process keeps a part of every weight, and a layer is whole while it works.

torch's FSDP2 divides what is frozen alone, and gathers copies of it.  What learns is small and stays whole in every
process, so that the gradients of lanes are summed in their order as ever, and no bit is another one.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from so8t.train.lora import trainable
from so8t.train.probes import decoder_layers


def shard(learner: Any, device: torch.device) -> None:
    """Every process of the group does this once, with the same base in memory; layer by layer goes to the device."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    # nothing stays whole behind a pass: a process that saves parts what is whole, and the others would not know of it
    divide = functools.partial(
        fully_shard, mesh=mesh, reshard_after_forward=True, ignored_params=set(trainable(learner).values())
    )
    for layer in decoder_layers(learner).values():
        divide(layer.to(device))
    divide(learner.to(device))


def is_sharded(learner: Any) -> bool:
    return any(kind.__name__ == "FSDPModule" for kind in type(learner).__mro__)  # whose import takes long
