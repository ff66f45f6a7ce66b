"""If: one of two graphs, as a condition says."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.looping import is_true


def if_(cond, *, then_branch, else_branch):
    return then_branch() if is_true("cond", cond) else else_branch()


@hookimpl
def cml_op():
    def branch(name, *values):
        constant = helper.make_node("Constant", [], [name], value_floats=values)
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(values)])
        return helper.make_graph([constant], name, [], [output])

    branches = {"then_branch": branch("then", 1.0, 2.0), "else_branch": branch("else", 3.0, 4.0)}
    return OpPlugin(
        schema=OpSchema("If", since_versions=(1, 11, 13, 16, 19, 21, 23, 24, 25)),
        numpy_op=if_,
        examples=(
            OpExample((np.array(True),), branches, encrypted=(), name="true"),
            OpExample((np.array([False]),), branches, encrypted=(), name="false"),
        ),
    )
