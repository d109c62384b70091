"""The metrics that the program exports, read from its sources: name, kind, labels. Tests' files are left out."""

import re
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("agent", "cli", "client", "compactor", "metadata", "objects", "proto")
MACRO = re.compile(r"\b(counter|gauge|histogram)!\s*\(")
CONST = re.compile(r'const ([A-Z_]+): &str =\s*"(siltstone_[a-z_]+)"')
FIRST = re.compile(r'\s*(?:"([a-z_]+)"|([A-Z_]+))')
LABEL = re.compile(r'"([a-z_]+)"\s*=>')
PROCESS = re.compile(r'line\(\s*out,\s*"(process_[a-z_]+)",\s*"(counter|gauge)"')


@dataclass
class Metric:
    kind: str
    labels: set = field(default_factory=set)


def sources():
    """Files of the program, without tests: a name that only a test knows is no metric."""
    for folder in FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*.rs")):
            parts = path.relative_to(PROJECT).parts
            if {"target", "tests", "benches", "examples"} & set(parts) or path.stem.endswith("tests"):
                continue
            yield path


def argument(text, start):
    """What stands between the parenthesis before `start` and its partner."""
    depth, at = 1, start
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return text[start:at - 1]


def exported():
    """Every metric that some line of the program records; what is only described does not count."""
    found = {}
    for path in sources():
        text = path.read_text()
        consts = dict(CONST.findall(text))
        for match in MACRO.finditer(text):
            inside = argument(text, match.end())
            first = FIRST.match(inside)
            name = first and (first[1] or consts.get(first[2]))
            if name and name.startswith("siltstone_"):
                found.setdefault(name, Metric(match[1])).labels.update(LABEL.findall(inside))
        for name, kind in PROCESS.findall(text):
            found[name] = Metric(kind)
    return found


def words():
    """Every quoted word of the program, and every word of Kafka's message definitions: what a label's value can be."""
    out = set()
    for path in sources():
        out.update(re.findall(r'"([A-Za-z_0-9]+)"', path.read_text()))
    for path in (PROJECT / "proto/kafka").rglob("*.kmsg"):
        out.update(re.findall(r"[A-Za-z_0-9]+", path.read_text()))
    return out
