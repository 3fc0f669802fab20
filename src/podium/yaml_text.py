"""Objects as YAML that anybody can read, and that no version of YAML reads differently.

Every text is in double quotes, as JSON writes it, for `n` and `1e3` are no texts without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_READ_OTHERWISE = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """One document for each object."""
    return "---\n".join("\n".join([*_mapping(each, ""), ""]) for each in objects)


def _mapping(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        yield from _entry(f"{indent}{_key(key)}:", value, indent)


def _entry(start: str, value: Any, indent: str) -> Iterator[str]:
    """What stands after `key:` or `-`, on the same line if it has no parts."""
    match value:
        case Mapping() if value:
            yield start
            yield from _mapping(value, f"{indent}  ")
        case str() if _is_block(value):
            yield f"{start} |{'' if value.endswith(chr(10)) else '-'}"
            yield from (f"{indent}  {line}".rstrip() for line in value.rstrip("\n").split("\n"))
        case str():
            yield f"{start} {json.dumps(value, ensure_ascii=False)}"
        case Sequence() if value:
            yield start
            for item in value:
                yield from _item(item, indent)
        case _:
            yield f"{start} {json.dumps(value)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping) and item:
        lines = list(_mapping(item, f"{indent}  "))
        yield f"{indent}- {lines[0].lstrip()}"
        yield from lines[1:]
    else:
        inner = isinstance(item, Sequence) and not isinstance(item, str)
        yield from _entry(f"{indent}-", item, f"{indent}  " if inner else indent)


def _is_block(text: str) -> bool:
    """Several lines that a block of YAML keeps as they are."""
    lines = text.removesuffix("\n").split("\n")
    plain = all(line == line.rstrip() and line.isprintable() for line in lines)
    return len(lines) > 1 and plain and not lines[0].startswith(" ") and bool(lines[0]) and bool(lines[-1])


def _key(key: str) -> str:
    if _PLAIN.fullmatch(key) and key.lower() not in _READ_OTHERWISE:
        return key
    return json.dumps(key, ensure_ascii=False)
