"""As much of PromQL as it takes to say which metrics, labels and values an expression names."""

import re
from dataclasses import dataclass

WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan", "start", "end", "atan2"}
LISTS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?")
MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
# What only makes sense of counters.
RATES = re.compile(r"\b(rate|irate|increase)\s*\(\s*$")


@dataclass
class Selector:
    metric: str
    matchers: list
    rated: bool


def selectors(expr):
    """The expression's selectors, and the labels that it groups by."""
    grouped = {label.strip() for _, inside in LISTS.findall(expr) for label in inside.split(",") if label.strip()}
    rest = LISTS.sub(" ", expr)
    out = []
    for match in SELECTOR.finditer(rest):
        name, braces, call = match.groups()
        if inside_braces_or_brackets(rest, match.start()) or name.lower() in WORDS or (call and not braces):
            continue
        out.append(Selector(name, MATCHER.findall(braces or ""), bool(RATES.search(rest[:match.start()]))))
    return out, grouped


def inside_braces_or_brackets(text, at):
    before = text[:at]
    return before.count("{") > before.count("}") or before.count("[") > before.count("]") or before.count('"') % 2 == 1
