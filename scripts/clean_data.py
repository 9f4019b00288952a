#!/usr/bin/env python3
"""Makes the bundled data sets of Emberline from the raw files of their publishers.

    python3 scripts/clean_data.py RAW_FOLDER     rebuild datasets/data from the raw files
    python3 scripts/clean_data.py --check        compare what is committed, without raw files

Needs Python 3.11 or later and nothing else. `data_specs.toml`, beside this file, lists every raw file with its sha256, what
its columns mean, and the counts it must have; `data_pages.py` counts the cleaned files and writes the manifest and the README
from those counts. Nothing in the manifest or the README is written by hand.

A rebuild is refused when a raw file differs from its checksum, or a cleaned table from its expected counts. It depends on no
clock and no locale: two runs on one machine give the same bytes. Another build of zlib may compress to other bytes with the
same content; the checksums in the manifest are those of the committed files.

`--check` fails when the manifest or the README is not what the committed files give, when a file is missing or unknown, when
a header or a count is not as in the specs, when the files together exceed 3 MB, or when a credit line is absent from NOTICE.
"""

import sys

sys.dont_write_bytecode = True  # the scripts folder is not a place for caches

import argparse
import csv
import gzip
import hashlib
import io
import re
import struct
import zlib
from pathlib import Path

import data_pages

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "datasets" / "data"
# Above this many bytes a file is stored compressed.
PLAIN_LIMIT = 50_000


def raw_files(spec):
    return spec["raw"] if isinstance(spec["raw"][0], list) else [spec["raw"]]


def verify_raw(folder, specs):
    """Refuses raw files other than the ones described, naming all of them at once."""
    faults = []
    for spec in specs["dataset"] + specs["sample"]:
        for path, expected in raw_files(spec):
            try:
                found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
            except OSError as error:
                faults.append(f"{path}: {error.strerror}")
                continue
            if found != expected:
                faults.append(f"{path}: sha256 is {found}, expected {expected}")
    if faults:
        raise data_pages.Problem("raw files differ from those in data_specs.toml:\n  " + "\n  ".join(faults))


def read_raw(folder, spec):
    """Text of each raw file of `spec`, decompressed."""
    texts = []
    for path, _ in raw_files(spec):
        data = (folder / path).read_bytes()
        texts.append((gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8"))
    return texts


def rows_of(text, delimiter=","):
    """Fields of each line, without the blanks around them."""
    return [[field.strip() for field in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]


def snake_case(name):
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


# One function per raw layout: from the texts of the raw files to (header, rows). See `shape` in data_specs.toml.


def headless(texts, spec):
    return spec["header"], rows_of(texts[0])


def headed(texts, spec):
    header, *rows = rows_of(texts[0], spec.get("delimiter", ","))
    names = [spec.get("rename", {}).get(name, name) for name in map(snake_case, header)]
    kept = [i for i, name in enumerate(names) if name not in spec.get("drop", [])]
    return [names[i] for i in kept], [[row[i] for i in kept] for row in rows]


def coded(texts, spec):
    (n_rows, n_features, *classes), *rows = rows_of(texts[0])
    if int(n_rows) != len(rows) or any(len(row) != int(n_features) + 1 for row in rows):
        raise data_pages.Problem(f"{spec['name']}: the first line of the raw file does not match its rows")
    return spec["header"], [[*row[:-1], classes[int(row[-1])]] for row in rows]


def split(texts, spec):
    features, targets = ([line.split() for line in text.splitlines()] for text in texts)
    # Targets are whole numbers written as 1.51e+02; int() of the text would refuse that form.
    whole = [[str(int(float(field))) for field in row] for row in targets]
    if any(float(was) != int(now) for old, new in zip(targets, whole) for was, now in zip(old, new)):
        raise data_pages.Problem(f"{spec['name']}: a target is not a whole number")
    return spec["header"], [x + y for x, y in zip(features, whole, strict=True)]


def edges(texts, spec):
    comment, *lines = texts[0].splitlines()
    if comment != f"# nodes {spec['nodes']} directed {spec['directed']}":
        raise data_pages.Problem(f"{spec['name']}: unexpected first line {comment!r}")
    return spec["header"], [line.split("\t") for line in lines]


TABLES = {"headless": headless, "headed": headed, "coded": coded, "split": split, "edges": edges}


def to_csv(header, rows):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def compress(data):
    """gzip at level 9 without name and time. The header is written here because Python's own varies with its version."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(data) + packer.flush()
    header = b"\x1f\x8b\x08\x00" + struct.pack("<L", 0) + b"\x02\x03"
    return header + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def store(stem, text):
    """Writes `text` under `datasets/data`, compressed if large, and removes the other form of the same name."""
    data = text.encode("utf-8")
    plain, packed = OUT / stem, OUT / f"{stem}.gz"
    path, other, data = (packed, plain, compress(data)) if len(data) > PLAIN_LIMIT else (plain, packed, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    other.unlink(missing_ok=True)


def rebuild(raw):
    specs = data_pages.load_specs()
    verify_raw(raw, specs)
    for spec in specs["dataset"]:
        texts = read_raw(raw, spec)
        if spec["shape"] == "libsvm":
            store(f"{spec['name']}.libsvm", texts[0])
        else:
            store(f"{spec['name']}.csv", to_csv(*TABLES[spec["shape"]](texts, spec)))
    for spec in specs["sample"]:
        store(f"samples/{spec['name']}.txt", read_raw(raw, spec)[0])
    for name, text in data_pages.pages(specs, OUT).items():
        (OUT / name).write_text(text, encoding="utf-8", newline="\n")


def main():
    parser = argparse.ArgumentParser(description="Rebuild or check the bundled data sets.")
    parser.add_argument("raw", nargs="?", type=Path, help="folder with the raw files")
    parser.add_argument("--check", action="store_true", help="only compare the committed files with each other")
    args = parser.parse_args()
    if args.check == (args.raw is not None):
        parser.error("give either the folder with the raw files, or --check")
    try:
        if args.raw is not None:
            rebuild(args.raw)
        print(data_pages.check(OUT, ROOT / "NOTICE"))
    except data_pages.Problem as problem:
        sys.exit(f"clean_data: {problem}")


if __name__ == "__main__":
    main()
