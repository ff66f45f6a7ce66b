"""RegexFullMatch: whether each string, from its start to its end, matches a pattern.

Patterns are RE2's, matched by Python's `re`, which goes back and tries again where RE2 does not:
with nested repetitions a pattern can take time that grows exponentially with a string's length.
Look-around, back-references and all else that RE2 lacks are refused, and so are Unicode classes.
"""

from __future__ import annotations

import re

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.re2_patterns import python_pattern


def regex_full_match(x, *, pattern):
    return prepare(x, pattern=pattern)(x)


def prepare(x, *, pattern):
    """Compile the pattern."""
    if pattern is None:
        raise AttributeValueError("pattern", None, "a regular expression")
    match = re.compile(python_pattern(pattern)).fullmatch

    def matches(x):
        found = [match(text) is not None for text in x.reshape(-1).tolist()]
        return (np.array(found, dtype=np.bool_).reshape(x.shape),)

    return matches


@hookimpl
def cml_op():
    names = np.array([["www.example.org", "example.org"], ["www.éa.org", ""]], dtype=object)
    return OpPlugin(
        schema=OpSchema("RegexFullMatch", since_versions=(20,)),
        numpy_op=regex_full_match,
        prepare=prepare,
        examples=(
            OpExample(
                (names,),
                {"pattern": r"(www\.)?[\w.-]+\.\borg\b"},
                (np.array([[True, True], [False, False]]),),
                encrypted=(),
                name="host names",
            ),
            OpExample(
                (np.array(["Ab\n", "ab"], dtype=object),),
                {"pattern": r"a(?i)B(?P<rest>\s*)$"},
                (np.array([False, True]),),
                encrypted=(),
                name="flags and groups",
            ),
        ),
    )
