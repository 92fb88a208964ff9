"""Shard sets beside what others keep patches in: Pillow + pyarrow, mosaicml-streaming, WebDataset. One run, one thread each.

    bench/shards/peer.py BIN DATA [ROUNDS]

DATA holds a folder per source of configs/sources. Rounds of the two sides alternate; every figure is the median of ROUNDS
(three). Writing is from image files to a finished set: ours looks for copies (of bytes and pixels: near-copies have a measurement of
their own, `make measure-copies`), groups, checks and digests on the way, the others only decode, cut and encode. Reading is of random rows, decoded; ours checks every image's digest too.
"""

import io
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import webdataset
from PIL import Image
from streaming import MDSWriter, StreamingDataset

torch.set_num_threads(1)
pa.set_cpu_count(1)
Image.MAX_IMAGE_PIXELS = None
SIDE, GROUP_ROWS, READS = 224, 64, 2000
PAPER_ROWS = 1_250_781


class Ours:
    """The programs of this project, with what they took."""

    def __init__(self, folder, data):
        self.folder, self.data = folder, data

    def run(self, program, *args):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        out = subprocess.run([self.folder / program, *map(str, args)], check=True, capture_output=True, text=True).stdout
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return out, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def bench(self, *args):
        return json.loads(self.run("shards-bench", *args)[0])

    def build(self, out, jobs):
        return self.run("shard-builder", "build", "configs/sources", "--data", self.data, "--allow-missing", "--near-copies", "ignore",
                        "--out", out, "--jobs", jobs)


def pictures(manifest_rows, data):
    """The image files of the set and how they are cut: the same patches on both sides."""
    cuts = {}
    for source, image, x, y, w, h in manifest_rows:
        cuts.setdefault((source, image), []).append((x, y, w, h))
    return [(pathlib.Path(data, source, image), of) for (source, image), of in sorted(cuts.items())]


def cut(image, x, y, w, h):
    # Outside the image Pillow fills with black; the time is the same.
    patch = image.crop((x, y, x + w, y + h))
    return patch if patch.size == (SIDE, SIDE) else patch.resize((SIDE, SIDE))


def encoded(patch, kind):
    if kind == "raw":
        return patch.tobytes()
    file = io.BytesIO()
    if kind == "jpeg":
        patch.save(file, "JPEG", quality=95)
    else:
        patch.save(file, "PNG", compress_level=int(kind[-1]))
    return file.getvalue()


def write_pyarrow(files, kind, out):
    """Patches a second, and the share of the time that decoding took."""
    start, decoding, rows = time.perf_counter(), 0.0, 0
    schema = pa.schema([("image", pa.binary()), ("path", pa.string())])
    with pq.ParquetWriter(out, schema, compression="none", use_dictionary=False) as writer:
        batch = []

        def flush():
            writer.write_table(pa.table([[b for b, _ in batch], [p for _, p in batch]], schema=schema), row_group_size=GROUP_ROWS)
            batch.clear()

        for path, cuts in files:
            began = time.perf_counter()
            image = Image.open(path).convert("RGB")
            decoding += time.perf_counter() - began
            for where in cuts:
                batch.append((encoded(cut(image, *where), kind), path.name))
                rows += 1
                if len(batch) == GROUP_ROWS:
                    flush()
        if batch:
            flush()
    seconds = time.perf_counter() - start
    return {"rows_per_s": rows / seconds, "decoding": decoding / seconds, "bytes_per_row": os.path.getsize(out) / rows}


def read_pyarrow(path):
    file = pq.ParquetFile(path, memory_map=False)
    total = file.metadata.num_rows
    pick = random.Random(0)
    rows = [pick.randrange(total) for _ in range(READS // 4)]
    before, start = io_bytes(), time.perf_counter()
    own = 0
    for row in rows:
        group, inside = divmod(row, GROUP_ROWS)
        bytes_ = file.read_row_group(group, columns=["image"])["image"][inside].as_py()
        own += len(bytes_)
        Image.open(io.BytesIO(bytes_)).load()
    seconds = time.perf_counter() - start
    return {"rows_per_s": len(rows) / seconds, "read_over_own": (io_bytes() - before) / own}


def io_bytes():
    for line in pathlib.Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/io has no rchar")


def make_streams(files, folder):
    """The same JPEG patches as MDS and as tar files."""
    patches = []
    for path, cuts in files:
        image = Image.open(path).convert("RGB")
        patches += [encoded(cut(image, *where), "jpeg") for where in cuts]
    with MDSWriter(out=str(folder / "mds"), columns={"image": "bytes"}, compression=None) as writer:
        for patch in patches:
            writer.write({"image": patch})
    (folder / "wds").mkdir()
    with webdataset.ShardWriter(str(folder / "wds/%05d.tar"), maxcount=1024, verbose=0) as writer:
        for n, patch in enumerate(patches):
            writer.write({"__key__": f"{n:07d}", "jpg": patch})
    return len(patches)


def read_streaming(folder):
    dataset = StreamingDataset(local=str(folder / "mds"), shuffle=False, batch_size=1)
    pick = random.Random(0)
    rows = [pick.randrange(len(dataset)) for _ in range(READS)]
    for row in rows[:100]:
        dataset[row]
    start = time.perf_counter()
    for row in rows:
        Image.open(io.BytesIO(dataset[row]["image"])).load()
    return {"rows_per_s": READS / (time.perf_counter() - start)}


def read_webdataset(folder):
    shards = sorted(str(p) for p in (folder / "wds").glob("*.tar"))
    dataset = webdataset.WebDataset(shards, shardshuffle=False, empty_check=False).shuffle(500)
    start, n = time.perf_counter(), 0
    for sample in dataset:
        Image.open(io.BytesIO(sample["jpg"])).load()
        n += 1
    return {"rows_per_s": n / (time.perf_counter() - start)}


def middle(rounds, key):
    return statistics.median(r[key] for r in rounds)


def main():
    ours = Ours(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        first = work / "set"
        ours.build(first, 1)
        table = pq.read_table(first / "shards", columns=["source", "image_path", "x", "y", "w", "h"]).to_pydict()
        cuts = list(zip(*table.values()))
        files = pictures(cuts, ours.data)
        print(f"{len(cuts)} patches of {len(files)} images, {SIDE} px; median of {rounds} rounds; "
              f"Pillow {Image.__version__}, pyarrow {pa.__version__}")
        writes = {name: [] for name in ("ours", "ours, two threads", "jpeg", "raw", "png1", "png6")}
        reads = {name: [] for name in ("ours", "pyarrow", "streaming", "webdataset")}
        decoding = []
        make_streams(files, work)
        for n in range(rounds):
            for name, jobs in (("ours", 1), ("ours, two threads", 2)):
                out = work / f"built-{jobs}"
                _, seconds, cpu = ours.build(out, jobs)
                size = sum(p.stat().st_size for p in (out / "shards").rglob("*.parquet"))
                peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
                writes[name].append({"rows_per_s": len(cuts) / seconds, "bytes_per_row": size / len(cuts), "peak_mb": peak,
                                     "cpu_s": cpu, "seconds": seconds})
                shutil.rmtree(out)
            decoding.append(ours.bench("decode", first, ours.data))
            for kind in ("jpeg", "raw", "png1", "png6"):
                # Level 6 takes minutes; one round tells enough.
                if kind != "png6" or n == 0:
                    writes[kind].append(write_pyarrow(files, kind, work / f"{kind}.parquet"))
            reads["ours"].append(ours.bench("rows", first, READS))
            reads["pyarrow"].append(read_pyarrow(work / "jpeg.parquet"))
            reads["streaming"].append(read_streaming(work))
            reads["webdataset"].append(read_webdataset(work))
        once = statistics.median(d["seconds"] for d in decoding)
        print(f"\nwriting, from files to a finished set{'':<6}{'patches/s':>10}{'bytes each':>12}{'decoding':>10}")
        for name, of in writes.items():
            label = {"ours": "ours, PNG", "ours, two threads": "ours, PNG, two threads", "jpeg": "Pillow + pyarrow, JPEG 95",
                     "raw": "Pillow + pyarrow, raw", "png1": "Pillow + pyarrow, PNG level 1",
                     "png6": "Pillow + pyarrow, PNG level 6"}[name]
            share = once / middle(of, "seconds") if name == "ours" else middle(of, "decoding") if "decoding" in of[0] else None
            told = "" if share is None else f"{share:9.0%}"
            print(f"{label:<43}{middle(of, 'rows_per_s'):>10.0f}{middle(of, 'bytes_per_row'):>12.0f}{told:>10}")
        one, two = middle(writes["ours"], "seconds"), middle(writes["ours, two threads"], "seconds")
        print(f"two threads: {one / two:.2f} times one; peak memory {middle(writes['ours, two threads'], 'peak_mb'):.0f} MB; "
              f"decoding every image once {once:.2f} s of {one:.2f} s")
        print(f"\nreading random rows, decoded{'':<15}{'patches/s':>10}{'read / own bytes':>18}")
        labels = {"ours": "ours, PNG, digests checked", "pyarrow": f"pyarrow, JPEG, groups of {GROUP_ROWS} rows",
                  "streaming": "mosaicml-streaming, JPEG", "webdataset": "WebDataset, JPEG, shuffled in a buffer"}
        for name, of in reads.items():
            over = f"{middle(of, 'read_over_own'):.2f}" if "read_over_own" in of[0] else ""
            print(f"{labels[name]:<43}{middle(of, 'rows_per_s'):>10.0f}{over:>18}")
        print(f"\n{'codec':<22}{'bytes each':>12}{'writes/s':>10}{'reads/s':>10}")
        for row in ours.bench("codecs", first):
            print(f"{row['codec']:<22}{row['bytes_per_image']:>12.0f}{row['writes_per_s']:>10.0f}{row['reads_per_s']:>10.0f}")
        ours.bench("make", work / "tiny", PAPER_ROWS)
        scale = ours.bench("open", work / "tiny")
        print(f"\na set of {scale['rows']} rows: opened in {scale['open_s']:.1f} s, {scale['index_bytes_per_row']:.0f} bytes of memory a row, "
              f"peak {scale['peak_mb']} MB")
        print(f"a random row: {scale['read_us_median']:.0f} µs (99 %: {scale['read_us_p99']:.0f} µs)")
        for name, plan in scale["plan"].items():
            print(f"plan, {name}: {plan['kb']} kB, {plan['us_per_step']:.1f} µs for one rank's part of a step")


if __name__ == "__main__":
    main()
