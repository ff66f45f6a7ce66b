"""Client and server as two sides that share nothing but bytes; encrypted for real."""

import stat
import zipfile

import attrs
import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import (
    CircuitError,
    CircuitMismatchError,
    ConfigError,
    DamagedFileError,
    KeysMissingError,
    ModelFileError,
    StoredFileError,
)
from cml_core.fhe.backend import installed_backends
from cml_core.fhe.sent import read_document, write_document
from cml_core.storage import read_archive
from tests.networks import mlp, samples

pytestmark = pytest.mark.fhe

COMPILERS = [backend.name for backend in installed_backends()]
if not COMPILERS:
    pytest.skip("no FHE compiler is installed", allow_module_level=True)

apart = pytest.mark.skipif(
    "concrete-python" not in COMPILERS,
    reason="concrete-numpy has no format for keys and ciphertexts on their way",
)


def network(seed=0):
    module = cml.NumpyModule.from_onnx(mlp([4, 3, 2], seed=seed))
    config = cml.QuantConfig.with_bits(2, rounding_bits=3)
    return cml.quantize(module, samples([4], 60), config)


@attrs.frozen
class Sides:
    """Files of a model, and what is known of it where it was made."""

    folder: object
    module: object

    def client(self, keys=True):
        client = cml.FheClient.load(self.folder / "client.cml")
        if keys:
            client.load_keys(self.folder / "keys")
        return client

    def server(self):
        return cml.FheCircuit.load(self.folder / "model.cml")

    def keys(self):
        return cml.EvaluationKeys.load(self.folder / "evaluation")


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("sides"), network()
    circuit = module.compile()
    circuit.save(folder / "model.cml")
    circuit.client.save(folder / "client.cml")
    client = cml.FheClient.load(folder / "client.cml")
    client.keygen()
    client.save_keys(folder / "keys")
    client.evaluation_keys().save(folder / "evaluation")
    return Sides(folder, module)


@apart
def test_what_is_sent_is_enough_and_the_integers_agree(sides):
    x = samples([4], 3)
    sent = sides.client().encrypt(x).to_bytes()
    server = sides.server()
    results = server.run(cml.EncryptedSamples.from_bytes(sent), evaluation_keys=sides.keys())
    assert not server.client.has_keys
    y = sides.client().decrypt(cml.EncryptedSamples.from_bytes(results.to_bytes()))
    np.testing.assert_array_equal(y, sides.module(x))


@apart
def test_of_no_samples_there_are_results_of_the_same_shape(sides):
    client = sides.client()
    sent = cml.EncryptedSamples.from_bytes(client.encrypt(samples([4], 3)[:0]).to_bytes())
    results = sides.server().run(sent, evaluation_keys=sides.keys())
    assert client.decrypt(results).shape == (0, 2)


@apart
def test_equal_samples_never_make_equal_ciphertexts(sides):
    x = samples([4], 1)
    one, other = (sides.client().encrypt(x).to_bytes() for _ in range(2))
    assert one != other


@apart
def test_the_client_s_file_holds_neither_program_nor_keys(sides):
    program = {name for name in read_archive(sides.folder / "model.cml") if "program" in name}
    assert program
    with zipfile.ZipFile(sides.folder / "client.cml") as archive:
        assert not program & set(archive.namelist())
    assert (sides.folder / "client.cml").stat().st_size < 20_000
    with pytest.raises(KeysMissingError):
        sides.client(keys=False).encrypt(samples([4], 1))


@apart
def test_keys_are_their_owner_s_alone(sides, tmp_path):
    assert stat.S_IMODE((sides.folder / "keys").stat().st_mode) == 0o600
    there = tmp_path / "keys"
    there.write_bytes(b"")
    there.chmod(0o644)
    sides.client().save_keys(there)
    assert stat.S_IMODE(there.stat().st_mode) == 0o600


@apart
def test_what_belongs_to_another_circuit_is_refused(sides, tmp_path):
    other = network(seed=1).compile()
    other.keygen()
    client, x = sides.client(), samples([4], 1)
    with pytest.raises(CircuitMismatchError, match="another circuit"):
        other.run(client.encrypt(x))
    with pytest.raises(CircuitMismatchError, match="evaluation keys"):
        other.run(other.encrypt(x), evaluation_keys=client.evaluation_keys())
    with pytest.raises(CircuitMismatchError, match="another circuit"):
        client.decrypt(other.run(other.encrypt(x)))
    other.client.save_keys(tmp_path / "keys")
    with pytest.raises(CircuitMismatchError, match="with these keys"):
        client.load_keys(tmp_path / "keys")


@apart
def test_a_version_that_differs_is_named(sides):
    client = sides.client()
    name = client.circuit
    older = attrs.evolve(name, version="1.0.0", digest="0" * 64)
    with pytest.raises(CircuitMismatchError, match=r"concrete-python 1\.0\.0; this one is by"):
        name.check(older, "evaluation keys", "run the circuit")
    # What is the same for both does not depend on the version's number.
    name.check(attrs.evolve(name, version="1.0.0"), "evaluation keys", "run the circuit")


@apart
def test_inputs_are_not_decrypted_and_results_not_computed_on(sides):
    client, server = sides.client(), sides.server()
    encrypted = client.encrypt(samples([4], 1))
    with pytest.raises(CircuitMismatchError, match="they are inputs, not results"):
        client.decrypt(encrypted)
    results = server.run(encrypted, evaluation_keys=sides.keys())
    with pytest.raises(CircuitMismatchError, match="they are results, not inputs"):
        server.run(results, evaluation_keys=sides.keys())
    with pytest.raises(KeysMissingError):
        server.run(encrypted)


@apart
@pytest.mark.parametrize("place", [0.1, 0.5])
def test_damaged_files_are_named(sides, tmp_path, place):
    client = sides.client()
    client.encrypt(samples([4], 2)).save(tmp_path / "sent")
    for source, read in (
        (sides.folder / "client.cml", cml.FheClient.load),
        (sides.folder / "keys", client.load_keys),
        (sides.folder / "evaluation", cml.EvaluationKeys.load),
        (tmp_path / "sent", cml.EncryptedSamples.load),
    ):
        content = bytearray(source.read_bytes())
        content[int(place * len(content))] ^= 255
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content)
        with pytest.raises(DamagedFileError, match="damaged"):
            read(damaged)
        damaged.write_bytes(content[: len(content) // 2])
        with pytest.raises(DamagedFileError, match="damaged"):
            read(damaged)
        with pytest.raises(StoredFileError, match="cannot be read"):
            read(tmp_path / "nowhere")


@apart
def test_files_of_another_kind_are_told(sides):
    client, folder = sides.client(), sides.folder
    with pytest.raises(DamagedFileError, match="holds evaluation keys, not secret keys"):
        client.load_keys(folder / "evaluation")
    with pytest.raises(DamagedFileError, match="holds secret keys, not evaluation keys"):
        cml.EvaluationKeys.load(folder / "keys")
    with pytest.raises(DamagedFileError, match="holds a model, not ciphertexts"):
        cml.EncryptedSamples.load(folder / "model.cml")
    with pytest.raises(DamagedFileError, match="holds a model, not the client's side"):
        cml.FheClient.load(folder / "model.cml")
    with pytest.raises(DamagedFileError, match="damaged"):
        cml.EncryptedSamples.from_bytes(b"PK nothing")


@apart
def test_arrays_are_no_results(sides):
    with pytest.raises(ConfigError, match="expected EncryptedSamples"):
        sides.client().decrypt(np.zeros((1, 2)))


@apart
def test_a_client_s_file_of_nonsense_is_damaged_and_its_tail_is_named(sides, tmp_path):
    name, _, parts = read_document(
        "the client's side of a circuit",
        (sides.folder / "client.cml").read_bytes(),
        sides.folder / "client.cml",
    )
    for part, content, error, said in (
        ("circuit-client.json", b"{}", DamagedFileError, "does not hold the client's side"),
        ("client.json", b"[]", DamagedFileError, "does not hold the client's side"),
        ("tail.onnx", b"no model", ModelFileError, "the tail of"),
    ):
        path = tmp_path / "client.cml"
        changed = {**parts, part: content}
        path.write_bytes(write_document("the client's side of a circuit", name, changed))
        with pytest.raises(error, match=said):
            cml.FheClient.load(path)


@apart
def test_rounding_that_the_client_finishes_is_finished_there_too(tmp_path):
    module = cml.NumpyModule.from_onnx(mlp([4, 3]))
    quantized = cml.quantize(
        module, samples([4], 60), cml.QuantConfig.with_bits(3, read_bits=4, rounding="approximate")
    )
    x = samples([4], 4)
    for rounding in ("quantized", "exact"):
        circuit = quantized.compile(rounding=rounding)
        circuit.client.save(tmp_path / "client.cml")
        client = cml.FheClient.load(tmp_path / "client.cml")
        client.keygen()
        results = circuit.run(client.encrypt(x), evaluation_keys=client.evaluation_keys())
        step = np.abs(quantized.client.outputs[0].scale).max() * 2**8
        np.testing.assert_allclose(client.decrypt(results), quantized(x), atol=step)
        if rounding == "exact":
            np.testing.assert_array_equal(client.decrypt(results), quantized(x))


@pytest.mark.skipif(
    "concrete-numpy" not in COMPILERS, reason="concrete-python keeps client and server apart"
)
def test_concrete_numpy_says_that_it_cannot(key_cache, tmp_path):
    circuit = network().compile(key_cache=key_cache)
    circuit.keygen()
    for attempt in (
        lambda: circuit.client.save_keys(tmp_path / "keys"),
        lambda: circuit.client.evaluation_keys(),
        lambda: circuit.encrypt(samples([4], 1)).to_bytes(),
    ):
        with pytest.raises(CircuitError, match="no format for keys"):
            attempt()
