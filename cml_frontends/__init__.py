"""Models of other libraries on their way into ONNX, and from there to encrypted data.

    from cml_frontends import compile_torch_model

    model = compile_torch_model(module, inputset, n_bits=4)
    y = model.predict(x, fhe="execute")

These names live in `cml_frontends.api`, which is imported when one of them is first used. Other
libraries are imported only where they are needed, and none of them has to be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_core.lazy import names_of

if TYPE_CHECKING:
    from cml_frontends.api import *  # noqa: F403
else:
    __getattr__, __dir__ = names_of(__name__, "cml_frontends.api")
