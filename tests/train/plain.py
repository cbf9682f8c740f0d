"""One process of plain data parallel training, as torchrun would start it; a file tells the others where it is.

python -m tests.train.plain JOB OUT RANK WORLD
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path


def main() -> None:
    job, out, rank, world = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # and nobody outside of this machine
    import torch

    from so8t.train import run

    torch.distributed.init_process_group(
        "gloo", init_method=(out / "meet").as_uri(), rank=int(rank), world_size=int(world)
    )
    run.train(pickle.loads(job.read_bytes()), out / rank)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
