"""Counts the bundled data sets and writes their manifest and README from the counts. Used by `clean_data.py`."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

SPECS = Path(__file__).resolve().parent / "data_specs.toml"
SIZE_LIMIT = 3_000_000
# Up to this many different values are spelled out in the README.
SPELLED_OUT = 6


class Problem(Exception):
    """Something about the data that a person has to look at."""


def expand(names):
    """Column names of one entry: split at blanks, ranges such as {0-7} multiplied out, the last one fastest."""
    found = []
    for name in names.split():
        parts = re.split(r"\{(\d+)-(\d+)\}", name)
        choices = [[parts[0]]]
        for low, high, text in zip(parts[1::3], parts[2::3], parts[3::3]):
            choices += [[str(i) for i in range(int(low), int(high) + 1)], [text]]
        found += ["".join(pieces) for pieces in itertools.product(*choices)]
    return found


def load_specs():
    specs = tomllib.loads(SPECS.read_text(encoding="utf-8"))
    by_name = {spec["name"]: spec for spec in specs["dataset"]}
    for spec in specs["dataset"]:
        if "columns_of" in spec:
            spec["columns"] = by_name[spec["columns_of"]]["columns"]
        spec["header"] = [name for names, _, _ in spec["columns"] for name in expand(names)]
        spec.setdefault("null_tokens", [])
        spec["format"] = "libsvm" if spec["shape"] == "libsvm" else "csv"
    return specs


def find(folder, stem, name):
    """The stored file of a data set, compressed or not; exactly one of the two may exist."""
    found = [path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()]
    if len(found) != 1:
        raise Problem(f"{name}: expected one of {stem} and {stem}.gz in the data folder, found {len(found)}")
    return found[0]


def read(path):
    data = path.read_bytes()
    content = gzip.decompress(data) if path.suffix == ".gz" else data
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(f"{path.name}: not UTF-8 at byte {error.start}") from error
    if "\r" in text or not text.endswith("\n"):
        raise Problem(f"{path.name}: every line must end in a line feed alone")
    return text, {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def values_of(cells):
    """One line about the values of a column: its range, or its categories."""
    if all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in cells):
        return f"{min(cells, key=float)} to {max(cells, key=float)}"
    kinds = sorted(set(cells))
    return ", ".join(kinds) if len(kinds) <= SPELLED_OUT else f"{len(kinds)} values"


def count_table(spec, text):
    header, *rows = csv.reader(io.StringIO(text))
    if header != spec["header"]:
        raise Problem(f"{spec['name']}: the header is {header}, the specs say {spec['header']}")
    for i, row in enumerate(rows):
        if len(row) != len(header):
            raise Problem(f"{spec['name']}: row {i + 1} has {len(row)} fields, the header {len(header)}")
    nulls = set(spec["null_tokens"])
    columns = {name: [cell for cell in cells if cell not in nulls] for name, cells in zip(header, zip(*rows))}
    found = {
        "rows": len(rows),
        "columns": len(header),
        "nulls": sum(len(rows) - len(cells) for cells in columns.values()),
        "null_rows": sum(any(cell in nulls for cell in row) for row in rows),
        "repeated_rows": len(rows) - len(set(map(tuple, rows))),
        "column_nulls": {name: len(rows) - len(cells) for name, cells in columns.items()},
        "values": {
            " ".join(names): values_of([cell for name in names for cell in columns[name]])
            for names in (expand(entry[0]) for entry in spec["columns"])
        },
    }
    if spec["task"] == "graph":
        found |= count_edges(spec, rows)
    if spec["task"] == "classification":
        found["classes"] = dict(sorted(Counter(columns[spec["label"]]).items()))
        found["n_classes"] = len(found["classes"])
    return found


def count_edges(spec, rows):
    pairs = [(int(a), int(b)) for a, b in rows]
    if any(not 0 <= node < spec["nodes"] for pair in pairs for node in pair):
        raise Problem(f"{spec['name']}: a node number is not below {spec['nodes']}")
    kinds = pairs if spec["directed"] else [tuple(sorted(pair)) for pair in pairs]
    return {"loops": sum(a == b for a, b in pairs), "parallel": len(pairs) - len(set(kinds))}


def count_libsvm(name, text):
    labels, width = Counter(), 0
    for i, line in enumerate(text.splitlines()):
        label, *entries = line.split()
        indices = [int(entry.split(":")[0]) for entry in entries]
        if not indices or indices[0] < 1 or any(a >= b for a, b in itertools.pairwise(indices)):
            raise Problem(f"{name}: line {i + 1}: indices must start at 1 or later and rise")
        labels[label] += 1
        width = max(width, indices[-1])
    rows = sum(labels.values())
    classes = dict(sorted(labels.items()))
    return {"rows": rows, "columns": width + 1, "nulls": 0, "classes": classes, "n_classes": len(classes)}


def compare(name, expected, found):
    for key, value in expected.items():
        if found[key] != value:
            raise Problem(f"{name}: {key} is {found[key]}, expected {value}")


def measure(specs, folder):
    """Adds to each spec its file name and, under `found`, what was counted there."""
    for spec in specs["dataset"]:
        path = find(folder, f"{spec['name']}.{spec['format']}", spec["name"])
        text, file = read(path)
        counts = count_libsvm(spec["name"], text) if spec["format"] == "libsvm" else count_table(spec, text)
        compare(spec["name"], spec["expect"], counts)
        spec["file"], spec["found"] = path.name, counts | file
    for spec in specs["sample"]:
        path = find(folder, f"samples/{spec['name']}.txt", spec["name"])
        text, file = read(path)
        counts = count_libsvm(spec["name"], text)
        compare(spec["name"], spec["expect"], counts)
        spec["file"], spec["found"] = f"samples/{path.name}", counts | file


MANIFEST_HEAD = """\
# The bundled data sets, as `bundled:NAME` finds them. Written by scripts/clean_data.py; do not edit.
# columns counts the label; graphs have no label but a node count, since a node may have no edge.
"""


def manifest(specs):
    blocks = [MANIFEST_HEAD]
    for spec in specs["dataset"]:
        entry = {"name": spec["name"], "title": spec["title"], "file": spec["file"], "format": spec["format"]}
        entry |= {"label": spec["label"]} if "label" in spec else {}
        entry |= {"task": spec["task"], "rows": spec["found"]["rows"], "columns": spec["found"]["columns"]}
        entry |= {key: spec[key] for key in ("nodes", "directed") if key in spec}
        entry |= {key: spec[key] for key in ("null_tokens", "source", "licence", "credit")}
        entry |= {"sha256": spec["found"]["sha256"]}
        # Strings, integers, booleans and lists of strings are written alike in JSON and TOML.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
        blocks.append("\n".join(["[[dataset]]", *lines]) + "\n")
    return "\n".join(blocks)


README_HEAD = """\
# Bundled data

Data sets that come with Emberline and are read as `bundled:NAME`. All are UTF-8 CSV files with a header, one line feed per
line, compressed with gzip where larger than 50 kB; those named `.libsvm` are sparse text.

Written by `scripts/clean_data.py` from the raw files and from the descriptions in `scripts/data_specs.toml`: change those, not
this page. `python3 scripts/clean_data.py --check` compares this page, `manifest.toml` and the files, byte for byte.

Sets marked CC-BY-4.0 come from the UCI Machine Learning Repository, which publishes them under Creative Commons Attribution 4.0
(https://creativecommons.org/licenses/by/4.0/): keep the credit line and the list of changes when you pass them on. Where a
second licence follows, it is that of the package from which the file was taken; `NOTICE` has the text.
Checksums are the sha256 of the file as it lies here.
"""


def grouped(number):
    return f"{number:,}"


def overview(specs):
    lines = ["| name | about | task | rows | columns | label | licence | size |", "|---|---|---|--:|--:|---|---|--:|"]
    for spec in specs["dataset"]:
        found, label = spec["found"], f"`{spec['label']}`" if "label" in spec else ""
        cells = [f"[`{spec['name']}`](#{spec['name']})", spec["title"], spec["task"], grouped(found["rows"])]
        cells += [str(found["columns"]), label, spec["licence"], f"{found['bytes'] / 1000:.1f} kB"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def column_table(spec):
    lines = ["| column | meaning | unit | values | missing |", "|---|---|---|---|--:|"]
    for entry, meaning, unit in spec["columns"]:
        names = expand(entry)
        shown = names if len(names) <= 2 else [*names[:2], "…", names[-1]]
        title = ", ".join(name if name == "…" else f"`{name}`" for name in shown)
        missing = sum(spec["found"]["column_nulls"][name] for name in names)
        cells = [title, meaning, unit, spec["found"]["values"][" ".join(names)], grouped(missing)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sparse_table(spec):
    lines = ["| column | meaning |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {meaning} |" for name, meaning, _ in spec["columns"]])


def missing_line(spec):
    found = spec["found"]
    if not found["nulls"]:
        return "none"
    token = " or ".join(f"`{token}`" if token else "an empty field" for token in spec["null_tokens"])
    return f"{grouped(found['nulls'])} values in {grouped(found['null_rows'])} rows, written as {token}"


def section(spec):
    found = spec["found"]
    facts = {"File": f"`{spec['file']}`", "Source": spec["source"], "Licence": spec["licence"], "Credit": spec["credit"]}
    facts |= {"Changes": spec["changes"]}
    if spec["task"] == "graph":
        kind = "directed" if spec["directed"] else "undirected"
        extra = f"{kind}, {found['loops']} loops, {found['parallel']} repeated edges"
        facts |= {"Size": f"{grouped(spec['nodes'])} nodes, {grouped(found['rows'])} edges; {extra}", "Label": "none"}
    else:
        facts |= {"Size": f"{grouped(found['rows'])} rows, {found['columns']} columns with the label"}
        facts |= {"Label": f"`{spec['label']}`, for {spec['task']}"}
    if spec["task"] == "classification":
        facts["Classes"] = ", ".join(f"`{name}` {grouped(count)}" for name, count in found["classes"].items())
    facts |= {"Missing": missing_line(spec), "sha256": f"`{found['sha256']}`"}
    listed = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    if spec["format"] == "libsvm":
        table = sparse_table(spec)
    elif "columns_of" in spec:
        table = f"Columns: see [`{spec['columns_of']}`](#{spec['columns_of']})."
    else:
        table = column_table(spec)
    return f"## {spec['name']}\n\n{spec['title']}. {spec['about']}\n\n{listed}\n\n{table}\n"


SAMPLES_HEAD = """\
## Samples

Files for the tests of the readers, as found in Apache Spark 4.3.0 (`data/mllib`), Apache-2.0. Credit: The Apache Software
Foundation. They have no name under `bundled:` and are not in the manifest.

| file | about | rows | columns | sha256 |
|---|---|--:|--:|---|
"""


def readme(specs):
    samples = "".join(
        f"| `{spec['file']}` | {spec['about']} | {spec['found']['rows']} | {spec['found']['columns']} "
        f"| `{spec['found']['sha256']}` |\n"
        for spec in specs["sample"]
    )
    return "\n".join([README_HEAD, overview(specs), *map(section, specs["dataset"]), SAMPLES_HEAD + samples])


def pages(specs, folder):
    """The generated files, by name, from the data files in `folder`."""
    measure(specs, folder)
    return {"manifest.toml": manifest(specs), "README.md": readme(specs)}


def check(folder, notice):
    """Compares data files, generated pages and credits; returns a line to print, or raises the first [`Problem`]."""
    specs = load_specs()
    texts = pages(specs, folder)
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise Problem(f"{name} is not what the files give: rebuild it from the raw files")
    stored = [entry for kind in ("dataset", "sample") for entry in specs[kind]]
    known = {entry["file"] for entry in stored} | set(texts)
    unknown = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - known
    if unknown:
        raise Problem(f"files that the specs do not know: {', '.join(sorted(unknown))}")
    total = sum(entry["found"]["bytes"] for entry in stored)
    if total > SIZE_LIMIT:
        raise Problem(f"the bundled files take {total} bytes, the limit is {SIZE_LIMIT}")
    credits = " ".join(notice.read_text(encoding="utf-8").split()) if notice.is_file() else ""
    for spec in specs["dataset"]:
        if spec["credit"] not in credits:
            raise Problem(f"{spec['name']}: NOTICE lacks its credit line: {spec['credit']}")
    return f"{len(specs['dataset'])} data sets and {len(specs['sample'])} samples agree, {total} bytes"
