"""An operator that is about to be written: what follows from its name, and from ONNX's schema."""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import attrs
import onnx.defs

from cml_core.errors import ConfigError
from cml_core.ops.schema import OpKey, OpKind, normalize_domain
from cml_core.plugins.api_version import API_VERSION
from cml_core.plugins.onnx_schemas import (
    knows_domain,
    newest_opset,
    operator_names,
    revisions_of,
    schema_of,
)
from cml_core.plugins.registry import OpRegistry

__all__ = ["KINDS", "NewOperator"]

#: Kinds that there is a template for.
KINDS = (OpKind.ELEMENTWISE, OpKind.MOVEMENT, OpKind.LINEAR, OpKind.CUSTOM)
#: By kind: the attribute that a sample of it has, and its default.
_SAMPLES = {
    OpKind.ELEMENTWISE: ("alpha", 1.0),
    OpKind.MOVEMENT: ("axis", -1),
    OpKind.LINEAR: ("scale", 1.0),
    OpKind.CUSTOM: ("threshold", 0.5),
}
_TYPES = onnx.defs.OpSchema.AttrType
#: Values for attributes that ONNX requires, by their type.
_VALUES: dict[Any, Any] = {
    _TYPES.INT: 1,
    _TYPES.FLOAT: 1.0,
    _TYPES.STRING: "",
    _TYPES.INTS: [1],
    _TYPES.FLOATS: [1.0],
    _TYPES.STRINGS: [""],
}


@attrs.frozen(slots=True)
class NewOperator:
    """An operator to begin: its name, and what follows from ONNX if ONNX knows it.

    Parameters
    ----------
    op_type : str
        Name in ONNX's spelling.
    domain : str
        Its domain, `""` for ai.onnx.
    kind : OpKind
        Which sample to begin with.
    since_versions : tuple of int
        Revisions that the plugin will implement.
    overrides : str
        The plugin that provides these revisions already, or `""`.
    schema : onnx.defs.OpSchema or None
        Of the newest of the revisions; None if ONNX does not know the operator.
    """

    op_type: str
    domain: str
    kind: OpKind
    since_versions: tuple[int, ...] = (1,)
    overrides: str = ""
    schema: onnx.defs.OpSchema | None = None

    @classmethod
    def of(cls, op_type: str, domain: str, kind: str, registry: OpRegistry) -> NewOperator:
        """Find out what is known of an operator.

        Raises
        ------
        ConfigError
            The name, the domain or the kind cannot be, or no sample of the kind fits the operator.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", op_type):
            raise ConfigError("NAME", op_type, "letters, digits and _, such as HardSwish")
        domain = normalize_domain(domain)
        if not domain.isprintable() or set(domain) & set('\\"{} '):
            raise ConfigError("domain", domain, "a name such as org.example")
        names = [known.value for known in KINDS]
        if kind not in names:
            raise ConfigError("kind", kind, " or ".join(names))
        known = cls(op_type, domain, OpKind(kind))
        if not knows_domain(domain):
            return attrs.evolve(known, overrides=_owner(registry, known))
        versions = _versions(op_type, domain, registry)
        schema = schema_of(domain, op_type, versions[-1])
        known = attrs.evolve(known, since_versions=versions, schema=schema)
        if schema is not None:
            known._check_sample(schema)
        return attrs.evolve(known, overrides=_owner(registry, known))

    @property
    def module(self) -> str:
        """The name of the operator's module and of its function."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", self.op_type)
        name = words.lower()
        reserved = keyword.iskeyword(name) or hasattr(builtins, name)
        return f"{name}_" if reserved else name

    def answers(self) -> dict[str, Any]:
        """What the template asks for, but for the names of the package."""
        required = self._required()
        return {
            "op_type": self.op_type,
            "domain": self.domain,
            "kind": self.kind.value,
            "module": self.module,
            "function": self.module,
            "own": self.schema is None,
            "api": API_VERSION,
            "signature": ", ".join(self._parameters()),
            "schema": self._code_of_schema(),
            "more_inputs": self._further_inputs(),
            "stated": f", {required!r}".replace("'", '"') if required else "",
            "overrides": self.overrides,
        }

    def _check_sample(self, schema: onnx.defs.OpSchema) -> None:
        """Refuse an operator of ONNX whose schema the sample of the kind does not fit."""
        least = 2 if self.kind is OpKind.LINEAR else 1
        where = f"{self.domain or 'ai.onnx'}.{self.op_type}"
        usual = "tensor(float)" in (schema.inputs[0].types if schema.inputs else ())
        if not usual or schema.min_output > 1 or len(schema.inputs) < least:
            what = f"at least {least} input{'s' * (least > 1)}, float ones, and one output"
            raise ConfigError(
                "NAME",
                self.op_type,
                f"an operator with {what}, which {where} has not: there is no sample of kind "
                f"{self.kind.value} for it. Begin with a plugin that is like it (`cml ops list`)",
            )
        for name, attribute in schema.attributes.items():
            if attribute.required and attribute.type not in _VALUES:
                expected = f"an operator without attribute {name!r}, which no sample has a value of"
                raise ConfigError("NAME", self.op_type, expected)

    def _parameters(self) -> Iterator[str]:
        """The parameters of the float function."""
        if self.schema is None:
            yield "x"
            if self.kind is OpKind.LINEAR:
                yield "weight"
            yield "*"
            yield _SAMPLES[self.kind][0]
            return
        taken = {"x", "ctx"}
        option = onnx.defs.OpSchema.FormalParameterOption
        for place, tensor in enumerate(self.schema.inputs):
            name = "x" if place == 0 else _identifier(tensor.name, taken)
            if place == 1 and self.kind is OpKind.LINEAR:
                name = "weight"
            taken.add(name)
            if tensor.option == option.Variadic:
                # The first of them by name, as a sample works on it.
                yield f"{name}, *more" if place == 0 else f"*{name}"
                taken.add("*")
            else:
                optional = place >= max(self.schema.min_input, place == 0)
                yield f"{name}=None" if optional else name
        attributes = [a for _, a in sorted(self.schema.attributes.items())]
        if attributes and "*" not in taken:
            yield "*"
        for attribute in attributes:
            given = attribute.required or attribute.default_value.type
            yield attribute.name if given else f"{attribute.name}=None"

    def _required(self) -> dict[str, Any]:
        """Values for the attributes that a node must have."""
        attributes = {} if self.schema is None else self.schema.attributes
        return {n: _VALUES[a.type] for n, a in attributes.items() if a.required}

    def _further_inputs(self) -> str:
        """Further inputs of an example, as code: what is not optional is the first once more."""
        have = 2 if self.kind is OpKind.LINEAR else 1
        more = 0 if self.schema is None else max(0, self.schema.min_input - have)
        if have == 1:
            return " x," * more
        return ", x" * more

    def _code_of_schema(self) -> str:
        versions = ", ".join(map(str, self.since_versions))
        fields = [
            f'"{self.op_type}"',
            f"since_versions=({versions}{',' * (len(self.since_versions) == 1)})",
            f"kind=OpKind.{self.kind.name}",
        ]
        if self.domain:
            fields.append(f'domain="{self.domain}"')
        if self.schema is None:
            name, default = _SAMPLES[self.kind]
            fields.append(f'attribute_defaults={{"{name}": {default}}}')
        lines = textwrap.indent("".join(f"{field},\n" for field in fields), " " * 12)
        return f"OpSchema(\n{lines}        )"


def _versions(op_type: str, domain: str, registry: OpRegistry) -> tuple[int, ...]:
    """The revisions that no plugin provides, or the newest if all are provided."""
    have = revisions_of(domain, op_type)
    if op_type not in operator_names(domain) or not have:
        where = domain or "ai.onnx"
        expected = f"an operator of {where}, or --domain with a domain of your own"
        raise ConfigError("NAME", op_type, expected)
    provided = {registry.revision(domain, op_type, version) for version in have}
    missing = tuple(v for v in have if v not in provided)
    newest = [v for v in have if v <= newest_opset(domain)][-1]
    return missing or (newest,)


def _owner(registry: OpRegistry, operator: NewOperator) -> str:
    """The plugin that provides a revision of the operator already, if any does."""
    wanted = {OpKey(operator.domain, operator.op_type, v) for v in operator.since_versions}
    owners = (entry.name for entry in registry if wanted & set(entry.plugin.schema.keys))
    return next(owners, "")


def _identifier(name: str, taken: set[str]) -> str:
    """A parameter's name from a schema's."""
    found = re.sub(r"\W", "_", name).lower()
    if not found.isidentifier() or keyword.iskeyword(found) or found in taken:
        found = f"{found}_" if f"{found}_".isidentifier() else f"input_{len(taken)}"
    return found
