"""What a machine with GPUs does with reddino, in eight minutes: a table, and result.json beside it.

Run it in the folder of the bundle that `make gpu-check` makes, with the Python of an environment that has torch 2.11 for CUDA 13:

    python check.py                 the GPUs of this machine
    DEVICE=cpu python check.py      a rehearsal on the processor, smaller

The worker of the bundle runs on the libraries of that torch. Each part has a share of the time; one that fails or takes longer is
said, and the others go on. Nothing is installed, and nothing outside the folder is written.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
DEVICE = os.environ.get("DEVICE", "cuda")
CPU = DEVICE == "cpu"
BUDGET_S = 480
WORK = HERE / "work"
# Dense bf16 operations a second of the makers' data sheets, by what the driver calls a card.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
# Model: images of a step on a GPU, in the rehearsal, and the keys that make ViT-S of reddino-small.yaml into it.
MODELS = {
    "small": (64, 2, []),
    "base": (32, 1, ["model.dim=768", "model.heads=12"]),
    "large": (16, 1, ["model.dim=1024", "model.depth=24", "model.heads=16"]),
}
PROTOTYPES = 4096 if CPU else 65536
if CPU:
    # Larger ones would take the rehearsal's time and show nothing else.
    MODELS = {"small": MODELS["small"]}
began = time.monotonic()
result = {"schema": 1, "device": DEVICE, "parts": {}}


def left():
    return BUDGET_S - (time.monotonic() - began)


def libraries():
    """The folders of torch's libraries, and of NCCL and CUDA beside it."""
    import torch

    lib = pathlib.Path(torch.__file__).parent / "lib"
    beside = sorted((lib.parent.parent / "nvidia").glob("**/lib")) if (lib.parent.parent / "nvidia").is_dir() else []
    result["torch"] = torch.__version__
    return os.pathsep.join(str(folder) for folder in [lib, *beside])


def run(words, seconds, **env):
    """Runs a program to its end and gives what it printed; an error with its last words otherwise."""
    env = {**os.environ, "LD_LIBRARY_PATH": LIBRARIES + os.pathsep + os.environ.get("LD_LIBRARY_PATH", ""), **env}
    if CPU:
        env["CUDA_VISIBLE_DEVICES"] = ""
    limit = max(1, min(seconds, left()))
    try:
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=limit, env=env)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"not done after {limit:.0f} s") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"ended with {done.returncode}")
    return done.stdout


def worker(*words, seconds=120, **env):
    return run([HERE / "worker", *words], seconds, **env)


def sets(*keys):
    return [word for key in keys for word in ("--set", key)]


def part(name):
    """Runs a part, keeps what it found or why it failed, and says both."""

    def keep(work):
        if left() < 5:
            found = {"failed": "no time was left"}
        else:
            try:
                found = work()
            except Exception as error:  # noqa: BLE001: whatever it is, the other parts go on
                found = {"failed": str(error)}
        result["parts"][name] = found
        print(f"{name}: {json.dumps(found)}", flush=True)
        return work

    return keep


def train(out, *keys, seconds=120):
    """Trains into `out` and gives the lines of metrics."""
    words = ["train", HERE / "tiny.yaml", "--shards", HERE / "shards", "--out", WORK / out, "--print-metrics"]
    printed = worker(*words, *sets(*keys), seconds=seconds)
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


def tensors(file):
    """Names and bytes of a safetensors file."""
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    return {name: body[slice(*at["data_offsets"])] for name, at in header.items() if name != "__metadata__"}


def last_state(out):
    folder = WORK / out
    record = json.loads((folder / "final.json").read_text())["checkpoint"]
    return record["digest"], folder / record["key"]


def devices():
    if CPU:
        return ["this machine's processor"]
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def main():
    result["devices"] = devices()
    if not result["devices"]:
        sys.exit("no GPU is seen; DEVICE=cpu rehearses on the processor")

    @part("doctor")
    def doctor():
        said = json.loads(worker("doctor", "--json", "--device", DEVICE, seconds=60))
        return {"healthy": said["healthy"], "findings": len(said["findings"])}

    @part("parity")
    def parity():
        """The same three steps on the processor and on the device: largest relative difference of losses and norms."""
        found = {}
        common = ["optim.epoch_length=3", "train.batch_size=8", "model.drop_path=0.0", "log.every_steps=1"]
        for precision in ["f32", "bf16"]:
            pair = []
            for where in ["cpu", DEVICE]:
                name = f"parity-{precision}-{len(pair)}"
                pair.append(train(name, *common, f"train.precision={precision}", f"device={where}"))
            worst = 0.0
            for ours, theirs in zip(*pair, strict=True):
                numbers = [(ours[key], theirs[key]) for key in ["loss", "dino_global", "ibot"] if ours[key] is not None]
                numbers += [(ours["grad_norm"][key], theirs["grad_norm"][key]) for key in ours["grad_norm"]]
                worst = max([worst, *(abs(a - b) / max(abs(a), 1e-12) for a, b in numbers)])
            found[precision] = worst
        return found

    @part("nccl")
    def nccl():
        if CPU:
            return {"skipped": "no NCCL on a processor"}
        test = HERE / "collective-tests"
        if not test.exists():
            return {"skipped": "the bundle was made without it"}
        printed = run([test, "nccl_real", "--test-threads=1"], 60, REDDINO_REQUIRE="gpu,nccl")
        return {"ranks": len(result["devices"]), "said": printed.strip().splitlines()[-1]}

    @part("twice")
    def twice():
        """200 steps, two times: the same bytes, or how far apart."""
        steps = 10 if CPU else 200
        states = []
        for number in [0, 1]:
            keys = [f"optim.epoch_length={steps}", "train.batch_size=16", "train.deterministic=true", f"device={DEVICE}"]
            train(f"twice-{number}", *keys, seconds=90)
            states.append(last_state(f"twice-{number}"))
        if states[0][0] == states[1][0]:
            return {"steps": steps, "equal": True}
        import torch

        first, second = (tensors(file) for _, file in states)
        read = lambda data: torch.frombuffer(bytearray(data), dtype=torch.float32)  # noqa: E731
        gap = max((read(first[key]) - read(second[key])).abs().max().item() for key in first if key.startswith("teacher."))
        return {"steps": steps, "equal": False, "largest_difference": gap}

    for name, (on_gpu, rehearsed, keys) in MODELS.items():
        images = rehearsed if CPU else on_gpu
        precision = "f32" if CPU else "bf16"

        @part(f"ViT {name}")
        def model(name=name, images=images, keys=keys, precision=precision):
            return step_of(name, images, keys, precision)

    result["seconds"] = time.monotonic() - began
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    table()


def step_of(name, images, keys, precision):
    """Seconds of a step by the worker, and by plain PyTorch eager and compiled, in turn."""
    settings = [f"train.batch_size={images}", "train.loss_groups=1", f"train.precision={precision}", *keys]
    repeats = 1 if CPU else 10
    words = ["bench", "--prototypes", PROTOTYPES, "--repeats", repeats]
    ours = json.loads(worker(*words, *sets(*settings), seconds=90))
    counted = json.loads(
        subprocess_estimate(["estimate", HERE / "small.yaml", "--json", "--gpu", "cpu" if CPU else "h100"], settings)
    )
    found = {"images": images, "prototypes": PROTOTYPES, "precision": precision}
    median = sorted(ours["seconds"])[len(ours["seconds"]) // 2]
    peak = next((peak for card, peak in PEAKS.items() if card in result["devices"][0]), 1e9 * ours["gflop_per_s"])
    found["worker"] = {
        "images_per_s": images / median,
        "of_peak": counted["flops_per_step"] / median / peak,
        "peak_mb": ours["peak_mb"],
    }
    for how, more in [("eager", []), ("compiled", ["--compile"])]:
        plain = [sys.executable, HERE / "plain_step.py", "--model", name, "--batch", images, "--prototypes", PROTOTYPES]
        plain += ["--repeats", repeats, "--device", DEVICE, "--precision", precision, "--threads", os.cpu_count(), *more]
        try:
            read = json.loads(run(plain, 120 if CPU else 60))
            seconds = sorted(read["seconds"])[len(read["seconds"]) // 2]
            found[how] = {"images_per_s": images / seconds, "peak_mb": read["peak_mb"]}
        except RuntimeError as error:
            found[how] = {"failed": str(error)}
    return found


def subprocess_estimate(words, settings):
    """`worker estimate` ends with 1 where the run would not fit, and prints all the same."""
    try:
        return worker(*words, *sets(f"head.prototypes={PROTOTYPES}", *settings), seconds=60)
    except RuntimeError:
        return worker(*words, *sets(f"head.prototypes={PROTOTYPES}", *settings, "train.batch_size=1"), seconds=60)


def table():
    """What a person reads."""
    parts = result["parts"]
    print(f"\n{', '.join(sorted(set(result['devices'])))} x {len(result['devices'])}, torch {result['torch']}, {result['seconds']:.0f} s")
    rows = [("model", "images", "worker", "of peak", "eager", "compiled", "worker MB", "eager MB")]
    number = lambda of, key, form: format(of[key], form) if key in of else of.get("failed", "-")[:24]  # noqa: E731
    for name in MODELS:
        found = parts[f"ViT {name}"]
        if "failed" in found:
            rows.append((name, found["failed"]))
            continue
        ours, eager, compiled = found["worker"], found["eager"], found["compiled"]
        rows.append(
            (name, str(found["images"]), number(ours, "images_per_s", ".1f"), number(ours, "of_peak", ".1%"),
             number(eager, "images_per_s", ".1f"), number(compiled, "images_per_s", ".1f"),
             number(ours, "peak_mb", ".0f"), number(eager, "peak_mb", ".0f"))
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip())
    for name in ["doctor", "parity", "nccl", "twice"]:
        print(f"{name}: {json.dumps(parts[name])[:300]}")
    print("images a second; memory of the worker is its process's on the processor, of plain PyTorch the device's on a GPU")
    failed = [name for name, found in parts.items() if "failed" in found]
    print(f"failed: {', '.join(failed)}" if failed else "all parts were done")


if __name__ == "__main__":
    LIBRARIES = libraries()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    main()
