"""Prolific's own description of its API, asked about every exchange with the fake."""

import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from simulation.prolific.server import Exchange

PAGED = {"page", "page_size", "ordering"}


class Contract:
    """Requests may have no field or parameter that the description lacks; answers have what it requires."""

    def __init__(self, path: Path) -> None:
        self._spec = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        self._paths = {
            re.compile(re.sub(r"\{[^}]*\}", "[^/]+", pattern)): operations
            # Paths without parameters first: /submissions/bulk-approve/ is no submission's id.
            for pattern, operations in sorted(self._spec["paths"].items(), key=lambda path: path[0].count("{"))
        }
        self.violations: list[str] = []
        self.exchanges = 0

    def check(self, exchange: Exchange) -> None:
        called = f"{exchange.method} {exchange.path}"
        operations = next((found for pattern, found in self._paths.items() if pattern.fullmatch(exchange.path)), {})
        operation = operations.get(exchange.method.lower())
        if operation is None:
            self.violations.append(f"{called}: no such operation")
            return
        self.exchanges += 1
        known = {parameter["name"] for parameter in operation.get("parameters", [])}
        self.violations += [f"{called}: unknown parameter {name}" for name in set(exchange.query) - known]
        schema = self._content(operation.get("requestBody"))
        if schema is not None:
            self._validate(f"{called} asks", schema, exchange.request)
            unknown = set(exchange.request or {}) - self._properties(schema)
            self.violations += [f"{called}: unknown field {name}" for name in unknown]
        if exchange.status < 400:
            answered = operation["responses"].get(str(exchange.status))
            if answered is None:
                self.violations.append(f"{called}: unknown status {exchange.status}")
            else:
                self._validate(f"{called} answers", self._content(answered), exchange.response)

    def _content(self, part: Any) -> Any:
        return part["content"]["application/json"]["schema"] if part and "content" in part else None

    def _validate(self, what: str, schema: Any, value: Any) -> None:
        if schema is None:
            return
        validator = Draft202012Validator({**schema, "components": self._spec["components"]})
        self.violations += [
            f"{what}: {error.json_path} {error.message[:200]}" for error in validator.iter_errors(value)
        ]

    def _properties(self, schema: Any) -> set[str]:
        if "$ref" in schema:
            schema = self._spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        found = set(schema.get("properties", {}))
        return found.union(*(self._properties(variant) for variant in schema.get("oneOf", [])))
