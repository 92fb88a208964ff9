"""Made-up data of a report, to look at the page with: `fixture.py ARMS POINTS OUT.json`."""

import base64
import json
import math
import random
import struct
import sys
import zlib

CLASSES = ["discocyte", "spherocyte", "target cell", "<script>alert('x')</script>", "elliptocyte", "sickle cell",
           "acanthocyte & burr cell", "stomatocyte", "teardrop", "schistocyte", "platelet", "ring form"]
SOURCES = ["chula-rbc-12", "elsafty", "</script><b>bold</b>", "a laboratory with a rather long name"]
VERDICTS = ["better", "worse", "equivalent", "undecided"]
TILE = 32


def names(count):
    first = ["reference", "koleo-off", "centering-none", "narrow", "<img src=x onerror=alert(1)>", "views-8-local-crops-with-a-long-name"]
    return (first + [f"arm-{i:03}" for i in range(len(first), count)])[:count]


def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(b"\0" + row for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b"")


def cell_rows(draw, number):
    """Rows of pixels of one made-up cell: a disc on a pale ground."""
    radius = 7 + draw.random() * 6
    ring = draw.random() * 0.8
    red, green, blue = 190 + draw.randrange(40), 90 + draw.randrange(50), 110 + draw.randrange(50)
    rows = []
    for y in range(TILE):
        row = bytearray()
        for x in range(TILE):
            far = math.hypot(x - 15.5, (y - 15.5) * (1 + 0.3 * math.sin(number))) / radius
            ink = 0 if far > 1 else 1 - ring * max(0, 1 - 2 * far)
            row += bytes(int(pale + (dark - pale) * ink) for pale, dark in ((236, red), (228, green), (230, blue)))
        rows.append(bytes(row))
    return rows


def atlas(draw, cells):
    drawn = [cell_rows(draw, number) for number in range(96)]
    sheets, first = [], 0
    while first < cells:
        count = min(cells - first, 128 * 128)
        columns = min(128, math.ceil(math.sqrt(count)))
        lines = math.ceil(count / columns)
        rows = []
        for line in range(lines):
            of_line = [drawn[(first + line * columns + column) * 31 % 96] for column in range(columns)]
            rows += [b"".join(cell[y] for cell in of_line) for y in range(TILE)]
        picture = base64.b64encode(png(columns * TILE, lines * TILE, rows)).decode()
        sheets.append({"columns": columns, "first": first, "count": count, "image": f"data:image/png;base64,{picture}"})
        first += count
    return {"tile": TILE, "sheets": sheets}


def difference(draw, index):
    mean = [0.031, -0.262, 0.0004, 0.012, -0.018][index % 5 if index < 6 else 3] + (draw.gauss(0, 0.012) if index > 5 else 0)
    half = [0.012, 0.03, 0.0006, 0.025, 0.017][index % 5]
    return {"mean": mean, "interval": [mean - half, mean + half], "equivalence_interval": [mean - 0.8 * half, mean + 0.8 * half],
            "seeds_interval": [mean - 0.7 * half, mean + 0.7 * half], "missing": None}


def arms(draw, all_names):
    found = []
    for index, name in enumerate(all_names):
        kind = "reference" if index == 0 else "arm"
        arm = {"name": name, "kind": kind, "difference": None, "verdict": None, "sentence": ""}
        if index:
            d = arm["difference"] = difference(draw, index)
            lo, hi = d["equivalence_interval"]
            verdict = "equivalent" if -0.01 < lo and hi < 0.01 else "better" if d["interval"][0] > 0 else "worse" if d["interval"][1] < 0 else "undecided"
            if index == 5:
                verdict, d["interval"], d["equivalence_interval"] = "none", None, None
            arm["verdict"] = verdict
            arm["sentence"] = (f"{name} against {all_names[0]}: {100 * d['mean']:+.1f} points of weighted F1."
                               + (" No interval: 2 common seeds, and 3 are needed; run 1 more." if verdict == "none" else ""))
        found.append(arm)
    for name, mean in (("baseline: random", -0.31), ("baseline: histogram", -0.45)):
        d = {"mean": mean, "interval": [mean - 0.02, mean + 0.02], "equivalence_interval": None, "seeds_interval": None, "missing": None}
        found.append({"name": name, "kind": "baseline", "difference": d, "verdict": None, "sentence": ""})
    return found


def lines(draw, of_arms):
    found = []
    for probe in ("linear_standardised", "1nn"):
        for metric, words in (("weighted_f1", "weighted F1"), ("macro_f1", "macro F1"), ("accuracy", "accuracy")):
            primary = (probe, metric) == ("linear_standardised", "weighted_f1")
            for arm in of_arms:
                mean = 0.8 + (arm["difference"] or {"mean": 0})["mean"] + draw.gauss(0, 0.002)
                p = draw.random() ** 4 if primary and arm["verdict"] not in (None, "none") else None
                found.append({"name": arm["name"], "kind": arm["kind"], "probe": probe, "metric": metric, "words": words, "unit": "fraction",
                              "seeds": 5, "mean": mean, "over_seeds": 0.004 + 0.01 * draw.random(), "over_folds": 0.03,
                              "difference": arm["difference"], "p_holm": p, "verdict": arm["verdict"] if primary else None,
                              "notes": ["transductive"] if arm["name"] == "narrow" else []})
    return found


def per_class(draw, of_arms, support):
    found = []
    for arm in of_arms:
        shift = (arm["difference"] or {"mean": 0})["mean"]
        score = lambda: [min(1, max(0, 0.75 + shift + draw.gauss(0, 0.06))) for _ in CLASSES]
        found.append({"name": arm["name"], "kind": arm["kind"], "precision": score(), "recall": score(), "f1": score()})
    return {"classes": CLASSES, "support": support, "arms": found}


def confusion(draw, of_arms, support):
    found = []
    for arm in of_arms:
        wrong = 0.18 - 0.5 * (arm["difference"] or {"mean": 0})["mean"]
        counts = []
        for i, cells in enumerate(support):
            weights = [draw.random() ** 4 for _ in CLASSES]
            weights[i] = 0
            row = [int(5 * cells * wrong * weight / sum(weights)) for weight in weights]
            row[i] = 5 * cells - sum(row)
            counts.append(row)
        found.append({"name": arm["name"], "kind": arm["kind"], "counts": counts})
    return {"classes": CLASSES, "arms": found}


def feature_map(draw, points):
    centres = [(draw.uniform(-9, 9), draw.uniform(-7, 7)) for _ in CLASSES]
    truth = [draw.randrange(len(CLASSES)) for _ in range(points)]
    at = [[round(draw.gauss(c, 1.1), 3) for c in centres[t]] for t in truth]
    return {"note": "UMAP of the reference's features, seed 0; made up.", "classes": CLASSES, "sources": SOURCES, "folds": ["0", "1", "2", "3", "4"],
            "x": [x for x, _ in at], "y": [y for _, y in at], "truth": truth,
            "predicted": [t if draw.random() < 0.85 else draw.randrange(len(CLASSES)) for t in truth],
            "source": [draw.randrange(4) for _ in truth], "fold": [draw.randrange(5) for _ in truth], "tile": list(range(points))}


def mistakes(draw, points):
    cell = lambda sure: {"tile": draw.randrange(points), "truth": draw.choice(CLASSES), "predicted": draw.choice(CLASSES),
                         "probability": sure, "source": draw.choice(SOURCES), "group": f"slide {draw.randrange(40)}"}
    return [{"title": "reference: surest mistakes", "how": "All seeds predicted these wrongly.", "cells": [cell(0.99 - i / 300) for i in range(36)]},
            {"title": "koleo-off alone", "how": "Right by the reference, wrong by this arm.", "cells": [cell(0.8 - i / 60) for i in range(24)]}]


def charts(draw, all_names):
    found = []
    for title, y, start, end in (("loss", "loss", 11.2, 6.3), ("KoLeo", "KoLeo", 0.4, -0.9)):
        series = []
        for name in all_names:
            for seed in range(5 if len(all_names) < 20 else 1):
                rate, end_here = draw.uniform(3, 6), end + draw.gauss(0, 0.25)
                ys = [end_here + (start - end_here) * math.exp(-rate * i / 120) + draw.gauss(0, 0.03) for i in range(121)]
                series.append({"name": name, "detail": f"seed {seed}", "x": [50 * i for i in range(121)], "y": ys})
        found.append({"group": "Training", "title": title, "how": "a line is one trial; those of one arm share a colour.", "kind": "line",
                      "x": "step", "y": y, "log_x": False, "series": series})
    xs = [0.01, 0.03, 0.1, 0.3, 1.0]
    series = [{"name": name, "detail": None, "x": xs, "y": [0.55 + 0.1 * math.log10(100 * x) + draw.gauss(0, 0.01) for x in xs]} for name in all_names[:6]]
    for one in series:
        one["lo"], one["hi"] = [y - 0.02 for y in one["y"]], [y + 0.02 for y in one["y"]]
    for title, x, at, how in (("parameters", "parameters, millions", 21.7, "further left is cheaper."), ("speed", "images a second", 850, "further right is faster.")):
        points = [{"name": name, "detail": None, "x": [at * draw.uniform(0.3, 14)], "y": [draw.uniform(55, 85)]} for name in ["baseline: <u>resnet50</u>", *all_names[:9]]]
        found.append({"group": "Cost", "title": f"score over {title}", "how": f"a point is a model; {how}", "kind": "points", "x": x, "y": "weighted F1, %", "log_x": True,
                      "series": points})
    found.append({"group": "Label efficiency", "title": "weighted F1", "how": "the score with a part of the labels; the band is the 95 % interval.",
                  "kind": "line", "x": "share of the labels", "y": "weighted F1", "log_x": True, "series": series})
    return found


def run(draw, all_names):
    digest = lambda: f"{draw.getrandbits(48):012x}"
    facts = [["code", "0.4.0+0123456789ab"], ["sweep", digest() * 4], ["seeds", "0, 1, 2, 3, 4"], ["device hours", "31.4"]]
    rows = [{"name": name, "changes": "reference" if not i else f"loss.koleo_weight: {i / 10}", "trial": digest(), "shards": digest(), "hours": draw.uniform(1, 9), "kwh": 0.4 if i == 1 else None}
            for i, name in enumerate(all_names)]
    unscored = [{"arm": "narrow", "seed": "4", "state": "failed", "reason": "attempt 2: loss is not finite at step 311 <b>", "trial": digest()}]
    columns = ["source", "images", "images not used", "rows", "rows with flaws", "licence"]
    sources = [[name, 40 * i + 12, "not known" if i == 3 else i, 9300 + i, "<s>135</s> kept", "<script>MIT</script>"] for i, name in enumerate(SOURCES)]
    cards = [{"title": "Training set <em>of</em> 0123456789ab", "facts": [["trains", "reference, <em>narrow</em>"], ["licences", "CC BY 4.0; <script>MIT</script>"]],
              "table": {"columns": columns, "rows": sources}},
             {"title": "Evaluation set chula-rbc-12", "facts": [["split", "grouped-5"], ["licence", "CC BY 4.0"], ["shards", digest() * 4]]},
             {"title": "Images shared by training and evaluation", "facts": [["what", "copies"]], "table": {
                 "columns": ["training set", "evaluation set", "looked for", "pairs", "found"],
                 "rows": [[digest(), "chula-rbc-12", "equal bytes", 1, "1 of 333 images of source <em>a</em>; pairs: 1 near"], [digest(), "elsafty", "nothing", "", "not known"]]}}]
    return {"facts": facts, "arms": rows, "unscored": unscored, "cards": cards}


def look(draw):
    """Two sheets of squares, one of them wider than a laptop."""
    def sheet(title, across, down):
        rows = []
        for _ in range(down):
            inks = [bytes(draw.randrange(256) for _ in range(3)) for _ in range(across)]
            rows += [b"".join(ink * 20 for ink in inks)] * 20
        picture = base64.b64encode(png(20 * across, 20 * down, rows)).decode()
        return {"title": title, "width": 20 * across, "height": 20 * down, "image": f"data:image/png;base64,{picture}"}

    sheets = [sheet("What patches have in common", 90, 30), sheet("Where <img src=x onerror=alert(1)> looks", 40, 20)]
    return {"facts": [["images", "./cells/<b>x</b>"], ["models", "teachers of reference, <img src=x onerror=alert(1)>, seed 0"]], "sheets": sheets}


def measured(draw, of_arms):
    rows = [{"name": a["name"], "kind": a["kind"], "probe": "knn_distance", "place": c, "means": [draw.uniform(0.5, 1), None if c == CLASSES[1] else draw.random()],
             "over_seeds": [0.01, None]} for c in CLASSES[1:4] for a in of_arms]
    return [{"title": "Anomaly", "how": "50 % is chance.", "notes": ["normal: discocyte"], "metrics": [["AUROC", "fraction"], ["AUPR", "fraction"]], "rows": rows}]


def report(count, points):
    draw = random.Random(f"{count} {points}")
    all_names = names(count)
    evaluations = []
    for name in ("chula-rbc-12", "elsafty")[: 2 if count < 20 else 1]:
        of_arms = arms(draw, all_names)
        support = [int(10 ** draw.uniform(1, 3.4)) for _ in CLASSES]
        per_source = {"sources": SOURCES, "cells": [4000, 1200, 310, 90], "arms": [
            {"name": a["name"], "kind": a["kind"], "scores": [0.8 + (a["difference"] or {"mean": 0})["mean"] + draw.gauss(0, 0.02) for _ in SOURCES]} for a in of_arms]}
        evaluations.append({
            "name": name, "split": "grouped-5", "primary": {"probe": "linear_standardised", "metric": "weighted_f1", "words": "linear_standardised, weighted F1", "unit": "fraction"},
            "arms": of_arms, "lines": lines(draw, of_arms), "per_class": per_class(draw, of_arms, support), "per_source": per_source,
            "measured": measured(draw, of_arms), "confusion": confusion(draw, of_arms, support),
            "mistakes": mistakes(draw, points) if points and not evaluations else [],
            "map": feature_map(draw, points) if points and not evaluations else None,
            "atlas": atlas(draw, points) if points and not evaluations else None})
    return {"format": 1, "title": f"Sweep of {count} arms: koleo & <b>friends</b>", "mark": "SYNTHETIC",
            "notices": ["SYNTHETIC: the cells of this report are drawn by a program. Its numbers say nothing about blood."],
            "reference": all_names[0], "level": 0.95, "margin": 0.01, "evaluations": evaluations, "charts": charts(draw, all_names), "look": look(draw) if points else None, "run": run(draw, all_names),
            "captions": ["Differences are paired by seed.", "The family holds all arms under all primaries; p values are Holm's."],
            "methods": [f"We compared {count} arms under five seeds each. This paragraph is made up."], "made": f"Made by fixture.py from sweep {'0123456789abcdef' * 4}."}


def bare(count):
    """What is left where no predictions, pictures and metrics are kept, and nothing warns."""
    found = report(count, 0)
    for evaluation in found["evaluations"]:
        evaluation.update(per_class=None, per_source=None, measured=[], confusion=None, mistakes=[], map=None, atlas=None)
    found.update(charts=[], mark=None, notices=[])
    return found


if __name__ == "__main__":
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(report(int(sys.argv[1]), int(sys.argv[2])), file)
