"""A new package of operators, or a further operator in one: what `cml ops new` writes."""

from cml_core.new_package.operator import KINDS, NewOperator
from cml_core.new_package.writing import TEMPLATE, write_operator

__all__ = ["KINDS", "TEMPLATE", "NewOperator", "write_operator"]
