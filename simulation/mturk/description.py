"""What botocore's own model of MTurk says of requests and answers; its client checks types, minima, what is missing."""

import re
from typing import Any

from botocore.loaders import Loader

VERSION = "2017-01-17"


class Description:
    def __init__(self) -> None:
        model = Loader().load_service_model("mturk", "service-2", VERSION)
        self._operations: dict[str, Any] = model["operations"]
        self._shapes: dict[str, Any] = model["shapes"]
        self.target: str = model["metadata"]["targetPrefix"]

    def knows(self, operation: str) -> bool:
        return operation in self._operations

    def problems(self, operation: str, part: str, value: Any) -> list[str]:
        """What is wrong with an `input` or `output`, in words; nothing if it is right."""
        return self._problems(self._operations[operation][part]["shape"], value, part)

    def _problems(self, name: str, value: Any, where: str) -> list[str]:
        shape = self._shapes[name]
        match shape["type"]:
            case "structure":
                return self._in_structure(shape, value, where)
            case "list":
                if not isinstance(value, list):
                    return [f"{where} is no list"]
                return [
                    problem
                    for place, one in enumerate(value)
                    for problem in self._problems(shape["member"]["shape"], one, f"{where}[{place}]")
                ]
            case "string":
                return _in_string(shape, value, where)
            case "integer" | "long":
                return _in_number(shape, value, where)
            case "boolean":
                return [] if isinstance(value, bool) else [f"{where} is no boolean"]
            case "timestamp":
                return [] if isinstance(value, int | float) else [f"{where} is no time"]
            case other:
                return [f"{where} is a {other}, which nobody here has thought of"]

    def _in_structure(self, shape: Any, value: Any, where: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where} is no structure"]
        members = shape["members"]
        problems = [f"{where} lacks {name}" for name in shape.get("required", []) if name not in value]
        for name, one in value.items():
            if name in members:
                problems += self._problems(members[name]["shape"], one, f"{where}.{name}")
            else:
                problems.append(f"{where} has no {name}")
        return problems


def _in_string(shape: Any, value: Any, where: str) -> list[str]:
    if not isinstance(value, str):
        return [f"{where} is no string"]
    problems = []
    if not shape.get("min", 0) <= len(value) <= shape.get("max", len(value)):
        problems.append(f"{where} has {len(value)} characters")
    if "pattern" in shape and not re.search(shape["pattern"], value):
        problems.append(f"{where} does not match {shape['pattern']}")
    if "enum" in shape and value not in shape["enum"]:
        problems.append(f"{where} is none of {', '.join(shape['enum'])}")
    return problems


def _in_number(shape: Any, value: Any, where: str) -> list[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        return [f"{where} is no whole number"]
    return [] if shape.get("min", value) <= value <= shape.get("max", value) else [f"{where} is out of range"]
