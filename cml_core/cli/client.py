"""`cml client`: keys, encryption and decryption, on a machine that has no model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cml_core.cli.failures import guarded
from cml_core.cli.terminal import show_text

__all__ = ["app"]

app = typer.Typer(
    help="Keys, encryption and decryption with what `cml compile --client` wrote.",
    no_args_is_help=True,
)

_Client = Annotated[Path, typer.Argument(metavar="CLIENT.cml", help="The client's side.")]
_Keys = Annotated[Path, typer.Option("--keys", metavar="FILE", help="The secret keys.")]


def keygen(
    client: _Client,
    keys: Annotated[
        Path,
        typer.Option(
            "--keys", metavar="FILE", help="Where to write the secret keys, which stay here."
        ),
    ],
    evaluation_keys: Annotated[
        Path,
        typer.Option(
            "--evaluation-keys", metavar="FILE", help="Where to write the keys for the server."
        ),
    ],
) -> None:
    """Generate keys: secret ones, and evaluation keys for the server."""
    from cml_core.cli.arrays import check_output
    from cml_core.cli.compile import size_text
    from cml_core.cli.progress import watched
    from cml_core.errors import OutputFileError
    from cml_core.fhe.client import FheClient

    check_output(keys, client)
    # One file for both would hand the secret keys to the server.
    check_output(evaluation_keys, client, keys)
    if keys.exists():
        hint = "What was encrypted with them can be decrypted with no others: name another file."
        raise OutputFileError(keys, "is there already, and may hold keys", hint)
    with watched() as steps:
        side = FheClient.load(client)
        with steps.step("generating keys"):
            side.keygen()
        with steps.step("writing keys"):
            public = side.evaluation_keys()
            public.save(evaluation_keys)
            side.save_keys(keys)
    show_text(f"wrote {keys}, secret: who has it can decrypt")
    show_text(f"wrote {evaluation_keys}, {size_text(len(public.content))} for the server")


def encrypt(
    client: _Client,
    keys: _Keys,
    inputs: Annotated[
        Path,
        typer.Option("--input", metavar="X.npz", help="Arrays by the names of the inputs."),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="X.enc", help="Where to write ciphertexts.")
    ],
) -> None:
    """Quantize and encrypt samples, for `cml evaluate` on the server."""
    from cml_core.cli.arrays import check_output, read_arrays
    from cml_core.cli.progress import watched
    from cml_core.fhe.client import FheClient

    check_output(output, client, keys, inputs)
    with watched() as steps:
        side = FheClient.load(client)
        layout = side.side.layout
        feeds = read_arrays(inputs, layout.inputs)
        layout.split(feeds)  # Arrays that do not fit are refused before keys are read.
        with steps.step("reading keys"):
            side.load_keys(keys)
        with steps.step("encrypting"):
            samples = side.encrypt_named(feeds)
        samples.save(output)
    show_text(f"wrote {output}: {len(samples)} encrypted samples")


def decrypt(
    client: _Client,
    keys: _Keys,
    inputs: Annotated[
        Path, typer.Option("--input", metavar="Y.enc", help="Results of `cml evaluate`.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Y.npz", help="Where to write arrays by output name."),
    ],
) -> None:
    """Decrypt results of the server, and compute what follows decryption."""
    from cml_core.cli.arrays import check_output, describe_arrays, write_arrays
    from cml_core.cli.progress import watched
    from cml_core.fhe.client import FheClient
    from cml_core.fhe.sent import EncryptedSamples

    check_output(output, client, keys, inputs)
    with watched() as steps:
        side, results = FheClient.load(client), EncryptedSamples.load(inputs)
        with steps.step("reading keys"):
            side.load_keys(keys)
        with steps.step("decrypting"):
            arrays = side.decrypt_named(results)
        write_arrays(output, arrays)
    show_text(f"wrote {output}: {describe_arrays(arrays)}")


app.command("keygen")(guarded(keygen))
app.command("encrypt")(guarded(encrypt))
app.command("decrypt")(guarded(decrypt))
