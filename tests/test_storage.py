"""The `.cml` container: whole or not at all, verified when read, never evaluated."""

import contextlib
import io
import json
import os
import pickle
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cml_core as cml
from cml_core import storage
from cml_core.errors import (
    CmlError,
    DamagedFileError,
    NewerFileError,
    OutputFileError,
    StoredFileError,
)
from cml_core.storage import (
    FORMAT_VERSION,
    array_bytes,
    read_archive,
    read_array,
    write_archive,
    write_file,
)
from tests.models import linear_model
from tests.networks import mlp, samples

PARTS = {"a.json": b'{"one": 1}', "deep/b.npy": array_bytes(np.arange(50)), "empty": b""}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("storage") / "model.cml"
    write_archive(path, PARTS)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A file that each example of a property writes anew."""
    return tmp_path_factory.mktemp("scratch") / "some.cml"


def rewritten(archive, change):
    """The archive's bytes with its manifest changed, and everything consistent otherwise."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "manifest.json":
                manifest = json.loads(content)
                content = json.dumps(change(manifest) or manifest).encode()
            target.writestr(name, content)
    return buffer.getvalue()


# --- there and back ---


@given(st.dictionaries(st.text("abc/.é", min_size=1, max_size=8), st.binary(max_size=50)))
def test_parts_come_back_as_they_were(scratch, parts):
    write_archive(scratch, parts)
    assert read_archive(scratch) == parts


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3), np.float64(0.5), np.zeros((0, 3), np.int8), np.array([True]),
     np.arange(6).reshape(2, 3).T, np.arange(9)[::2]],
    ids=["matrix", "number", "empty", "truth", "transposed", "strided"],
)  # fmt: skip
def test_arrays_come_back_as_they_were(array):
    np.testing.assert_array_equal(read_array(array_bytes(array)), np.asarray(array), strict=True)


def test_equal_parts_give_equal_files(archive, scratch):
    write_archive(scratch, PARTS)
    assert scratch.read_bytes() == archive.read_bytes()


def test_it_is_a_plain_zip_with_a_checksum_for_each_part(archive):
    with zipfile.ZipFile(archive) as content:
        assert content.testzip() is None
        manifest = json.loads(content.read("manifest.json"))
    assert (manifest["format"], manifest["version"]) == ("cml", FORMAT_VERSION)
    assert set(manifest["sha256"]) == set(PARTS)


def test_a_module_of_the_first_format_is_read(tmp_path, monkeypatch):
    quantized = cml.quantize(cml.NumpyModule.from_onnx(mlp([3, 2])), samples([3]), n_bits=3)
    quantized.save(path := tmp_path / "old.cml")
    parts = read_archive(path)
    client = json.loads(parts["client.json"])
    for row in client["outputs"]:
        del row["digits"]  # It came with the second.
    monkeypatch.setattr("cml_core.storage.FORMAT_VERSION", 1)
    write_archive(path, {**parts, "client.json": json.dumps(client).encode()})
    again = cml.QuantizedModule.load(path)
    np.testing.assert_array_equal(again(samples([3])), quantized(samples([3])))


# --- damaged files ---


@settings(max_examples=300)
@given(st.data())
def test_a_file_that_was_cut_is_damaged_wherever_it_was_cut(archive, scratch, data):
    content = archive.read_bytes()
    scratch.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(DamagedFileError) as raised:
        read_archive(scratch)
    assert raised.value.path == scratch
    assert "Compile the model again" in raised.value.hint


@settings(max_examples=500)
@given(st.data())
def test_a_file_with_altered_bytes_is_damaged_or_means_the_same(archive, scratch, data):
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    scratch.write_bytes(content)
    with contextlib.suppress(DamagedFileError):
        assert read_archive(scratch) == PARTS


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(format="other"),
        lambda m: m.update(version="1"),
        lambda m: m.update(version=0),
        lambda m: m.pop("version"),
        lambda m: m.pop("sha256"),
        lambda m: m.update(sha256=list(m["sha256"])),
        lambda m: m.update(sha256=[[]]),
        lambda m: m.update(sha256=None),
        lambda m: m["sha256"].pop("empty"),
        lambda m: m["sha256"].update(more="0"),
        lambda m: m["sha256"].update(empty="0"),
        lambda m: m["sha256"].update(empty=None),
        lambda m: [1],
        lambda m: "text",
    ],
)
def test_a_file_whose_manifest_is_wrong_is_damaged(archive, scratch, change):
    scratch.write_bytes(rewritten(archive, change))
    with pytest.raises(DamagedFileError):
        read_archive(scratch)


def test_a_manifest_that_is_only_written_anew_is_none_the_worse(archive, scratch):
    scratch.write_bytes(rewritten(archive, lambda manifest: None))
    assert read_archive(scratch) == PARTS


def zip_of(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in parts.items():
            target.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a zip at all", linear_model().SerializeToString(), pickle.dumps({"a": 1}),
     zip_of(), zip_of(a_txt="a"), zip_of(manifest_json="{"), zip_of(manifest_json=b"\xff"),
     zip_of(manifest_json="[" * 100_000)],
    ids=["empty", "text", "onnx", "pickle", "empty zip", "other zip", "no json", "no utf-8",
         "deep json"],
)  # fmt: skip
def test_any_other_file_is_refused(scratch, content):
    scratch.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"not a \.cml file|is damaged"):
        read_archive(scratch)


def test_a_file_of_a_newer_format_is_refused_with_both_versions(archive, scratch):
    scratch.write_bytes(rewritten(archive, lambda m: m.update(version=FORMAT_VERSION + 1)))
    with pytest.raises(NewerFileError) as raised:
        read_archive(scratch)
    assert (raised.value.version, raised.value.supported) == (FORMAT_VERSION + 1, FORMAT_VERSION)
    assert raised.value.path == scratch
    assert "Upgrade cml" in str(raised.value)


@pytest.mark.parametrize("name", ["absent.cml", "no/such/folder.cml", "", "a\0b.cml"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name):
    with pytest.raises(StoredFileError, match="cannot be read") as raised:
        read_archive(f"{tmp_path}/{name}")
    assert not isinstance(raised.value, DamagedFileError)


# --- nothing is ever evaluated ---


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_pickled_arrays_are_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_array(buffer.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_array(pickle.dumps(Bomb()))
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(ValueError, match="allow_pickle=False"):
        array_bytes(np.array([Bomb()], dtype=object))


def test_a_stored_model_with_a_pickle_in_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = cml.NumpyModule.from_onnx(linear_model())
    quantized = cml.quantize(module, np.random.default_rng(0).normal(size=(20, 4)))
    parts = quantized.to_parts()
    name = next(name for name in parts if name.endswith(".npy"))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    write_archive("bomb.cml", {**parts, name: buffer.getvalue()})
    with pytest.raises(DamagedFileError):
        cml.QuantizedModule.load("bomb.cml")
    assert not (tmp_path / "exploded").exists()


# --- writing ---


@pytest.mark.parametrize("name", ["no/such/folder/a.cml", "", "a\0b.cml", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name):
    with pytest.raises(OutputFileError, match="cannot be written"):
        write_archive(f"{tmp_path}/{name}", PARTS)
    assert list(tmp_path.iterdir()) == []


def test_long_names_that_the_system_allows_can_be_written(tmp_path):
    write_file(tmp_path / ("n" * 250), b"a")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_file_that_was_there(tmp_path, monkeypatch, error):
    path = tmp_path / "model.cml"
    write_file(path, b"before")

    def fail(self, target):
        raise error

    monkeypatch.setattr(storage.Path, "replace", fail)
    wanted = OutputFileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted):
        write_file(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_every_failure_is_a_stored_file_error():
    for kind in (DamagedFileError, NewerFileError, OutputFileError):
        assert issubclass(kind, StoredFileError)
    assert issubclass(StoredFileError, CmlError)


# --- what is there already ---


def test_a_link_is_followed(tmp_path):
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to("target")
    write_file(link, b"dangling")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"dangling")
    write_file(link, b"there")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"there")
    assert sorted(tmp_path.iterdir()) == [link, target]
    link.unlink()
    link.symlink_to("link")
    with pytest.raises(OutputFileError, match="cannot be written"):
        write_file(link, b"")


def test_a_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "private"
    path.write_bytes(b"before")
    path.chmod(0o600)
    write_file(path, b"after")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o600, b"after")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_written_to(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(path, b"through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="the system has no /dev/fd")
def test_a_descriptor_is_written_to(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"first, ")
        file.flush()
        write_file(f"/dev/fd/{file.fileno()}", b"second")
        file.write(b", third")
    assert path.read_bytes() == b"first, second, third"
    read, write = os.pipe()
    try:
        write_file(f"/dev/fd/{write}", b"through")
        assert os.read(read, 100) == b"through"
    finally:
        os.close(read)
        os.close(write)


def test_a_device_is_written_to(tmp_path):
    path = tmp_path / "nowhere"
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        os.close(os.open(path, os.O_WRONLY))
    except (OSError, AttributeError):
        pytest.skip("only a superuser makes devices")
    write_file(path, b"away")
    assert stat.S_ISCHR(path.stat().st_mode)


def test_what_would_fill_memory_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.cml"
    write_archive(path, {"zeros": bytes(10**8)})
    assert path.stat().st_size < 10**6
    with pytest.raises(DamagedFileError, match=r"100000\d\d\d bytes in"):
        read_archive(path)


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [
        ("program.json", ("instructions", 1, "shape"), [7]),
        ("program.json", ("outputs",), []),
        ("client.json", ("inputs", 0, "name"), "other"),
        ("client.json", ("inputs", 0, "levels"), None),
        ("client.json", ("model_inputs", 0, "dtype"), []),
    ],
)
def test_nonsense_with_a_right_checksum_is_a_damaged_file(tmp_path, part, place, value):
    path = tmp_path / "net.cml"
    cml.quantize(cml.NumpyModule.from_onnx(mlp([4, 3, 2])), samples([4], 60), n_bits=3).save(path)
    parts = read_archive(path)
    document = json.loads(parts[part])
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    write_archive(path, {**parts, part: json.dumps(document).encode()})
    with pytest.raises(DamagedFileError, match="does not hold a quantized model"):
        cml.QuantizedModule.load(path)
