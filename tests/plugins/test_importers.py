from types import SimpleNamespace

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import ModelFileError
from cml_core.plugins import importer
from tests.networks import mlp, samples


class Fitted:
    """What some other library calls a model."""


@pytest.fixture
def front_end(monkeypatch):
    ours = importer.Importer("fitted", lambda m: isinstance(m, Fitted), lambda m, x: mlp([3, 2]))
    loaded = SimpleNamespace(status="loaded", provides=ours)
    monkeypatch.setattr(importer, "load_group", lambda group: [loaded])
    importer._known.cache_clear()
    yield
    importer._known.cache_clear()


@pytest.mark.usefixtures("front_end")
def test_a_model_goes_to_the_front_end_that_accepts_it():
    module = cml.NumpyModule.from_model(Fitted())
    assert module(samples([3], 4)).shape == (4, 2)
    assert module(np.zeros((0, 3), dtype=np.float32)).shape == (0, 2)


@pytest.mark.usefixtures("front_end")
def test_what_no_front_end_accepts_is_refused_with_the_installed_ones():
    with pytest.raises(ModelFileError, match="installed: fitted"):
        cml.NumpyModule.from_model(object())
