"""Golden label files, by the tools that write them: pycocotools and globox.

    python3.11 -m venv VENV && VENV/bin/pip install -r tests/golden/requirements-labels.txt
    VENV/bin/python tests/golden/make_labels.py tests/golden/labels

`regions.json` holds polygons and what pycocotools makes of them: run lengths (plain and compressed), box and area, and unions of two. `boxes.json`
holds two drawn fields of cells, and beside it lie the files that globox writes of them: `coco.json`, `cvat.xml`, `via.json`, `voc/`, `yolo/`,
`labelme/`. `qupath.geojson` has the shapes that shapely writes in the frame that QuPath gives them.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
from globox import Annotation, AnnotationSet, BoundingBox
from pycocotools import mask
from shapely import affinity, geometry

WIDTH, HEIGHT = 96, 72


def normal(rle):
    """Run lengths without empty ones, as numbers."""
    rle = mask.encode(np.asfortranarray(mask.decode(rle)))
    flat = mask.decode(rle).flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0 if flat[-1] == 0 else 1]]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return rle["counts"].decode(), counts


def polygons(rng):
    """Blobs, thin and small shapes, shapes over the edge, crossed ones, steps of quarters of a pixel."""
    for index in range(240):
        count = rng.integers(3, 14)
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        centre = rng.uniform([-8, -8], [WIDTH + 8, HEIGHT + 8])
        radius = rng.choice([0.7, 2.0, 6.0, 15.0, 40.0]) * rng.uniform(0.6, 1.4, count)
        points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
        if index % 5 == 0:
            points = np.round(points * 4) / 4
        if index % 7 == 0:
            rng.shuffle(points)
        if index % 11 == 0:
            points = np.repeat(points, 2, 0)
        points = np.clip(points, [-WIDTH, -HEIGHT], [2 * WIDTH, 2 * HEIGHT])
        yield np.round(points, 3).flatten().tolist()


def regions(rng):
    cases = []
    for points in polygons(rng):
        rle = mask.frPyObjects([points], HEIGHT, WIDTH)[0]
        text, counts = normal(rle)
        cases.append({"polygon": points, "text": text, "counts": counts, "raw": rle["counts"].decode(), "area": int(mask.area(rle))})
        cases[-1]["bbox"] = [int(number) for number in mask.toBbox(rle)]
    unions = []
    for a, b in zip(cases[::2], cases[1::2]):
        rle = mask.merge(mask.frPyObjects([a["polygon"], b["polygon"]], HEIGHT, WIDTH))
        unions.append({"counts": normal(rle)[1], "bbox": [int(number) for number in mask.toBbox(rle)]})
    return {"width": WIDTH, "height": HEIGHT, "cases": cases, "unions": unions}


def fields(rng):
    for name in ["field 1.png", "field-2.png"]:
        boxes = []
        for _ in range(12):
            x, y = (int(at) for at in rng.integers([0, 0], [WIDTH - 24, HEIGHT - 24]))
            w, h = (int(side) for side in rng.integers(6, 24, 2))
            boxes.append((str(rng.choice(["rbc", "wbc & more"])), x, y, x + w, y + h))
        yield name, boxes


def qupath(rng):
    """A collection as QuPath 0.5 exports it: annotations and detections with a classification."""
    features = []
    for index in range(8):
        circle = geometry.Point(rng.uniform(12, WIDTH - 12), rng.uniform(12, HEIGHT - 12)).buffer(rng.uniform(4, 9))
        shape = affinity.rotate(affinity.scale(circle, 1.2, 0.8), 30 * index)
        if index == 3:
            shape = shape.difference(shape.centroid.buffer(2))
        if index == 4:
            shape = geometry.MultiPolygon([shape, affinity.translate(shape, 14)])
        if index == 5:
            shape = shape.centroid
        if index == 6:
            shape = geometry.MultiPoint([(10.5, 11.5), (30.25, 31)])
        classification = None if index == 7 else {"name": ["RBC", "WBC"][index % 2], "color": [200, 0, 0]}
        properties = {"objectType": "annotation", "isLocked": False, "measurements": []}
        properties.update({"classification": classification} if classification else {})
        features.append({"type": "Feature", "id": f"cell-{index}", "geometry": geometry.mapping(shape), "properties": properties})
    return {"type": "FeatureCollection", "features": features}


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rng = np.random.default_rng(24)
    write = lambda name, value: (out / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")
    write("regions.json", regions(rng))
    drawn = dict(fields(rng))
    write("boxes.json", {"width": WIDTH, "height": HEIGHT, "fields": drawn})
    annotations = AnnotationSet()
    for name, boxes in drawn.items():
        of_field = [BoundingBox(label=label, xmin=x0, ymin=y0, xmax=x1, ymax=y1) for label, x0, y0, x1, y1 in boxes]
        annotations.add(Annotation(name, (WIDTH, HEIGHT), of_field))
    labels = {"rbc": 0, "wbc & more": 1}
    annotations.save_coco(out / "coco.json", label_to_id=labels, auto_ids=True)
    annotations.save_cvat(out / "cvat.xml")
    images = out / "images"
    images.mkdir()
    for name in drawn:
        (images / name).write_bytes(b"")
    annotations.save_via_json(out / "via.json", image_folder=images)
    shutil.rmtree(images)
    annotations.save_pascal_voc(out / "voc")
    annotations.save_yolo_v5(out / "yolo", label_to_id=labels)
    (out / "yolo" / "classes.txt").write_text("".join(f"{name}\n" for name in labels))
    annotations.save_labelme(out / "labelme")
    write("qupath.geojson", qupath(rng))


if __name__ == "__main__":
    main()
