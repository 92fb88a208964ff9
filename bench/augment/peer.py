"""The augmentation beside Albumentations 1.3.1, in one run: each transform, whole global views, two threads.

    bench/augment/peer.py PATH/augment-bench [ROUNDS]

Rounds of the two alternate. Times are medians of ROUNDS (five); a ratio is the median of the rounds' own ratios, since the
machine's pace changes from round to round. Both sides are timed by the thread's own
processor time (a busy machine stretches the clock on the wall, not this) on the same synthetic smears of 224 x 224, OpenCV at
one thread. A view is: crop, four of the 33 transforms, flips, quarter turn, normalisation, channels first in f32.
The three distortions stand below the 33, then those of stain, which Albumentations has not.
Prints the table, then exits with 1 where a bar is missed.
"""

import importlib.util
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import albumentations as A
import cv2
import numpy as np

warnings.filterwarnings("ignore")
cv2.setNumThreads(1)
cv2.ocl.setUseOpenCL(False)

SIDE, PATCHES = 224, 8
APPLICATIONS, VIEWS = 30, 150
FASTER_VIEWS, SCALING = 6.0, 1.9

golden = pathlib.Path(__file__).parents[2] / "tests/golden/make_augment.py"
spec = importlib.util.spec_from_file_location("make_augment", golden)
make_augment = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_augment)


def milliseconds(call, n):
    start = time.thread_time()
    for i in range(n):
        call(i)
    return (time.thread_time() - start) * 1e3 / n


def peer_round(patches):
    random.seed(1)
    np.random.seed(1)
    times = {}
    for name in make_augment.OPS + make_augment.FURTHER:
        transform = getattr(A, name)(p=1)
        for i in range(3):
            transform(image=patches[i])
        times[name] = milliseconds(lambda i: transform(image=patches[i % PATCHES])["image"], APPLICATIONS)
    view = A.Compose(
        [
            A.RandomResizedCrop(SIDE, SIDE, scale=(0.32, 1.0), interpolation=cv2.INTER_LINEAR, p=1),
            A.SomeOf([getattr(A, name)(p=0.85) for name in make_augment.OPS], n=4, p=1),
            A.HorizontalFlip(p=0.85),
            A.VerticalFlip(p=0.85),
            A.RandomRotate90(p=0.85),
            A.Normalize(),
        ]
    )

    def make(i):
        return np.ascontiguousarray(view(image=patches[i % PATCHES])["image"].transpose(2, 0, 1))

    for i in range(10):
        make(i)
    return {"transforms_ms": times, "view_ms": milliseconds(make, VIEWS)}


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    patches = [make_augment.smear(SIDE, SIDE, seed) for seed in range(PATCHES)]
    ours, theirs = [], []
    with tempfile.NamedTemporaryFile(suffix=".rgb") as file:
        file.write(b"".join(p.tobytes() for p in patches))
        file.flush()
        for _ in range(rounds):
            run = subprocess.run([program, file.name, str(SIDE)], check=True, capture_output=True, text=True)
            ours.append(json.loads(run.stdout))
            theirs.append(peer_round(patches))

    def each(side, *keys):
        values = []
        for value in side:
            for key in keys:
                value = value[key]
            values.append(value)
        return values

    def middle(side, *keys):
        return statistics.median(each(side, *keys))

    def ratio(*keys):
        return statistics.median(b / a for a, b in zip(each(ours, *keys), each(theirs, *keys)))

    slower = []
    print(f"median of {rounds} rounds, {SIDE} x {SIDE}, thread time; Albumentations {A.__version__}, OpenCV {cv2.__version__}")
    print(f"{'transform':<26}{'ours ms':>9}{'theirs ms':>11}{'ratio':>8}")
    shared = make_augment.OPS + make_augment.FURTHER
    for name in shared + sorted(set(ours[0]["transforms_ms"]) - set(shared)):
        a = middle(ours, "transforms_ms", name)
        if name not in shared:
            print(f"{name:<26}{a:9.3f}{'-':>11}{'-':>8}")
            continue
        b, times = middle(theirs, "transforms_ms", name), ratio("transforms_ms", name)
        print(f"{name:<26}{a:9.3f}{b:11.3f}{times:8.1f}")
        if times < 1.0:
            slower.append(name)
    for side in (ours, theirs):
        for one in side:
            one["mean_ms"] = statistics.mean(one["transforms_ms"][name] for name in make_augment.OPS)
    for name, key in (("mean of the 33", "mean_ms"), ("whole global view", "view_ms")):
        print(f"{name:<26}{middle(ours, key):9.3f}{middle(theirs, key):11.3f}{ratio(key):8.1f}")
    print(f"views a second on one core: ours {1e3 / middle(ours, 'view_ms'):.0f}, theirs {1e3 / middle(theirs, 'view_ms'):.0f}")
    allocations, scaling = middle(ours, "allocations_per_view"), middle(ours, "scaling_cpu")
    print(f"allocations per view after warm-up: {allocations:g}")
    print(f"two threads: {scaling:.2f} times the views of one for each's own processor time "
          f"({middle(ours, 'scaling_wall'):.2f} by the clock on the wall of this machine)")
    bars = {
        f"whole view {FASTER_VIEWS:g} times as fast": ratio("view_ms") >= FASTER_VIEWS,
        "no transform slower": not slower,
        "no allocation per view": allocations == 0,
        f"two threads {SCALING:g} times one": scaling >= SCALING,
    }
    for bar, met in bars.items():
        print(f"{'met' if met else 'MISSED'}: {bar}")
    if slower:
        print("slower:", ", ".join(slower))
    sys.exit(0 if all(bars.values()) else 1)


if __name__ == "__main__":
    main()
