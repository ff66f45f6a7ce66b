"""`cml compile --client`, `cml client` and `cml evaluate`: both sides through files alone."""

import numpy as np
import pytest

import cml_core as cml
from tests.networks import samples

pytestmark = [pytest.mark.fhe, pytest.mark.usefixtures("encrypts_quickly")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sides")


@pytest.fixture
def made(cli, folder, net_path, calibration_path):
    """A compiled model and its client's side, made once."""
    model, client = folder / "model.cml", folder / "client.cml"
    if not model.exists():
        options = ["--calibration", calibration_path, "--n-bits", "2", "--output", model]
        result = cli("compile", net_path, *options, "--client", client)
        assert f"wrote {model} and {client}" in result.out.replace("\n", " ")
    return model, client


@pytest.fixture
def keys(cli, folder, made):
    """Its keys, secret and for the server, made once."""
    secret, public = folder / "secret", folder / "evaluation"
    if not secret.exists():
        options = ["--keys", secret, "--evaluation-keys", public]
        assert "who has it can decrypt" in cli("client", "keygen", made[1], *options).out
    return secret, public


def test_from_samples_to_predictions(cli, made, keys, input_path, tmp_path):
    (model, client), (secret, public) = made, keys
    sent, results, output = (tmp_path / name for name in ("x.enc", "y.enc", "y.npz"))
    done = cli(
        "client", "encrypt", client, "--keys", secret, "--input", input_path, "--output", sent
    )
    assert "2 encrypted samples" in done.out
    given = ["--evaluation-keys", public, "--input", sent, "--output", results]
    assert "2 encrypted results" in cli("evaluate", model, *given).out
    given = ["--keys", secret, "--input", results, "--output", output]
    cli("client", "decrypt", client, *given)
    wanted = cml.QuantizedModule.load(model).run({"x": samples([3])[:2]})
    with np.load(output) as arrays:
        assert set(arrays) == set(wanted)
        for name, array in wanted.items():
            np.testing.assert_array_equal(arrays[name], array)


def test_keys_are_not_overwritten(cli, made, keys, folder):
    secret, _ = keys
    before = secret.read_bytes()
    options = ["--keys", secret, "--evaluation-keys", folder / "other"]
    result = cli("client", "keygen", made[1], *options, status=1)
    assert "may hold keys" in result.err
    assert secret.read_bytes() == before
    assert not (folder / "other").exists()


def test_files_in_each_other_s_place_are_told(cli, made, keys, input_path, tmp_path):
    (model, client), (secret, public) = made, keys
    output = tmp_path / "out"
    for command, said in (
        (
            ["client", "keygen", model, "--keys", output, "--evaluation-keys", tmp_path / "e"],
            "client's side",
        ),
        (
            ["client", "encrypt", client, "--keys", public, "--input", input_path],
            "holds evaluation keys, not secret keys",
        ),
        (["evaluate", model, "--evaluation-keys", public, "--input", secret], "not ciphertexts"),
        (
            ["evaluate", model, "--evaluation-keys", public, "--input", input_path],
            "not a .cml file",
        ),
    ):
        extra = [] if "keygen" in command else ["--output", output]
        result = cli(*command, *extra, status=1)
        assert said in " ".join(result.err.split())
        assert not output.exists()


def test_a_client_s_file_is_no_model(cli, made, input_path, tmp_path):
    output = tmp_path / "y.npz"
    result = cli("predict", made[1], "--input", input_path, "--output", output, status=1)
    assert "the client's side of a circuit" in " ".join(result.err.split())


def test_without_a_circuit_there_is_no_client(cli, net_path, calibration_path, tmp_path):
    options = ["--calibration", calibration_path, "--output", tmp_path / "m.cml", "--no-circuit"]
    result = cli("compile", net_path, *options, "--client", tmp_path / "c.cml", status=1)
    assert "--no-circuit" in result.err
    assert not list(tmp_path.glob("*.cml"))


def test_one_file_cannot_hold_both_kinds_of_keys(cli, made, tmp_path):
    """Whoever sent it to the server would send the secret keys."""
    same = tmp_path / "keys"
    result = cli("client", "keygen", made[1], "--keys", same, "--evaluation-keys", same, status=1)
    assert "what else is written" in result.err
    (tmp_path / "link").symlink_to(same)
    options = ["--keys", same, "--evaluation-keys", tmp_path / "link"]
    assert "what else is written" in cli("client", "keygen", made[1], *options, status=1).err
    assert not same.exists()


def test_model_and_client_are_two_files(cli, net_path, calibration_path, tmp_path):
    same = tmp_path / "m.cml"
    options = ["--calibration", calibration_path, "--output", same, "--client", same]
    assert "what else is written" in cli("compile", net_path, *options, status=1).err
    assert not same.exists()
