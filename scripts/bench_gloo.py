"""Seconds of a Gloo all-reduce of 22,056,576 f32, one thread a process: the peer of `worker bench --ranks`."""

import json
import os
import statistics
import sys
import tempfile
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

ELEMENTS = 22_056_576
REPEATS = 5


def rank_main(rank: int, world: int, rendezvous: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    numbers = torch.ones(ELEMENTS)
    times = []
    for run in range(REPEATS + 1):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(numbers)
        if run > 0:
            times.append(time.perf_counter() - began)
    assert numbers[-1].item() == float(world) ** (REPEATS + 1)
    if rank == 0:
        with open(out, "w") as file:
            json.dump({"torch": torch.__version__, "ranks": world, "seconds": statistics.median(times)}, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    world = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        mp.spawn(rank_main, args=(world, os.path.join(folder, "rendezvous"), out), nprocs=world)
        print(open(out).read())
