"""Reads a shard set with pyarrow, DuckDB and Hugging Face datasets: check_shards.py SHARDDIR

Nothing here uses reddino's own code, so what passes is readable by anyone. Exits nonzero with a sentence on the first
difference. Versions are pinned by the environment of `make interop`.
"""

import glob
import io
import json
import os
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLUMNS = "id pixel_digest source image_path group x y w h label licence image".split()


def expect(condition, sentence):
    if not condition:
        sys.exit(f"check_shards: {sentence}")


def check_pyarrow(root, manifest):
    """Schema, counts, page layout; returns the rows of the first shard."""
    first = None
    for entry in manifest["shards"]:
        path = os.path.join(root, entry["key"])
        expect(os.path.getsize(path) == entry["bytes"], f"{path} has another size than the manifest says")
        file = pq.ParquetFile(path)
        expect(file.schema_arrow.names == COLUMNS, f"{path} has columns {file.schema_arrow.names}")
        image = file.schema_arrow.field("image").type
        expect(image == pa.struct([("bytes", pa.binary()), ("path", pa.string())]), f"image has type {image}")
        expect(file.metadata.num_rows == entry["rows"], f"{path} has {file.metadata.num_rows} rows")
        expect(file.metadata.num_row_groups == 1, f"{path} has several row groups")
        column = file.metadata.row_group(0).column(11)
        expect(column.path_in_schema == "image.bytes", f"column 11 is {column.path_in_schema}")
        expect(column.compression == "UNCOMPRESSED", f"image.bytes is {column.compression}")
        expect(not column.has_dictionary_page, "image.bytes has a dictionary")
        expect(column.has_offset_index, "image.bytes has no offset index")
        table = file.read()
        total = sum(len(value) for value in table.column("image").combine_chunks().field("bytes").to_pylist())
        expect(column.total_compressed_size <= 1.1 * total + 64 * entry["rows"], "image pages carry too much beside the images")
        first = first or table.to_pylist()
    return first


def check_pixels(rows, codec):
    for row in rows[:64]:
        picture = Image.open(io.BytesIO(row["image"]["bytes"]))
        expect(picture.format.lower() == codec, f"row {row['id']} is {picture.format}")
        expect(picture.mode == "RGB", f"row {row['id']} decodes to {picture.mode}")


def check_pixel_digests(rows):
    """The digest by its definition, where a BLAKE3 module is at hand."""
    try:
        from blake3 import blake3
    except ImportError:
        print("check_shards: no blake3 module, pixel digests not recomputed")
        return
    for row in rows[:64]:
        picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        hasher = blake3(derive_key_context="reddino pixel digest v1")
        hasher.update(picture.width.to_bytes(4, "little") + picture.height.to_bytes(4, "little") + picture.tobytes())
        expect(hasher.hexdigest() == row["pixel_digest"], f"row {row['id']} has another pixel digest")


def check_folder(root, manifest):
    """What readers find that list folders is what the manifest names; returns the glob that the data card gives."""
    named = {os.path.normpath(os.path.join(root, entry["key"])) for entry in manifest["shards"]}
    found = set(glob.glob(os.path.join(root, "shards", "**", "*"), recursive=True))
    found = {os.path.normpath(path) for path in found if os.path.isfile(path)}
    expect(found == named, f"shards/ holds {sorted(found ^ named)} besides what the manifest names, or lacks it")
    with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
        globs = [line.split(": ", 1)[1].strip() for line in file if line.strip().startswith("data_files: ")]
    expect(len(globs) == 1, f"the data card names {len(globs)} globs of data files")
    return os.path.join(root, globs[0])


def check_duckdb(root, manifest, shards):
    counted = duckdb.sql(
        f"select source, count(*), count(distinct image_path), sum(octet_length(image.bytes)), count(distinct id) "
        f"from '{shards}' group by source order by source"
    ).fetchall()
    expected = sorted((s["name"], s["rows"], s["images"], s["bytes"], s["rows"]) for s in manifest["sources"])
    expect([tuple(map(str, row)) for row in counted] == [tuple(map(str, row)) for row in expected], f"DuckDB counts {counted}, the manifest {expected}")
    for split in glob.glob(os.path.join(root, "splits", "*.parquet")):
        twice = duckdb.sql(f'select count(*) - count(distinct "group") from \'{split}\'').fetchall()[0][0]
        expect(twice == 0, f"{split} names a group twice")
        missing = duckdb.sql(f'select count(*) from (select distinct "group" from \'{shards}\' except select "group" from \'{split}\')').fetchall()[0][0]
        expect(missing == 0, f"{split} lacks {missing} groups")


def check_datasets(root, manifest, rows):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets

    files = [os.path.join(root, entry["key"]) for entry in manifest["shards"]]
    with tempfile.TemporaryDirectory() as cache:
        loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
        expect(isinstance(loaded.features["image"], datasets.Image), f"datasets sees image as {loaded.features['image']}")
        expect(len(loaded) == manifest["rows"], f"datasets sees {len(loaded)} rows")
        picture, own = loaded[0]["image"], Image.open(io.BytesIO(rows[0]["image"]["bytes"]))
        expect(picture.tobytes() == own.tobytes(), "datasets decodes other pixels")
        del loaded
        whole = datasets.load_dataset(root, split="train", cache_dir=cache)
        expect(len(whole) == manifest["rows"], f"datasets sees {len(whole)} rows in the folder")
        del whole
    streamed = next(iter(datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)))
    expect(streamed["image"].size == own.size, "streaming decodes another size")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: check_shards.py SHARDDIR")
    root = sys.argv[1]
    with open(os.path.join(root, "manifest.json"), "rb") as file:
        text = file.read()
    manifest = json.loads(text)
    expect((manifest["format"], manifest["version"]) == ("reddino-shards", 1), "the manifest is of another version")
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    expect(text == canonical, "the manifest is not in canonical form")
    rows = check_pyarrow(root, manifest)
    check_pixels(rows, manifest["codec"])
    check_pixel_digests(rows)
    check_duckdb(root, manifest, check_folder(root, manifest))
    check_datasets(root, manifest, rows)
    print(f"check_shards: {manifest['rows']} rows in {len(manifest['shards'])} shards read by pyarrow {pa.__version__} and duckdb {duckdb.__version__}, and as Hugging Face images")


if __name__ == "__main__":
    main()
