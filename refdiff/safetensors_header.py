"""What a weights file holds, from its header alone: nothing of the weights is read, and torch is not needed."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from refdiff.errors import ModelError, translate_read_errors

# What other files begin with that stand where a weights file should.
_FOREIGN = {
    b"version https://git-lfs": "a pointer of git-lfs, whose file was not fetched (`git lfs pull`)",
    b"<": "a page of HTML or XML",
    b"PK\x03\x04": "a pickle of torch",
    b"\x80": "a pickle",
}


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Number type and shape of every tensor, by name.

    Raises:
        ModelError: It is no safetensors file, or a part of one; the file is as long as its header says otherwise.
        UnreadableError: It cannot be read now.
        OSError: There is no such file.
    """
    with translate_read_errors(path):
        with path.open("rb") as file:
            start = file.read(32)
        try:
            with safe_open(path, framework="numpy") as tensors:
                slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 it is no mapping
                return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
        except SafetensorError as error:
            foreign = next((what for magic, what in _FOREIGN.items() if start.startswith(magic)), None)
            got = foreign or f"{path.stat().st_size} bytes that do not fit a header ({error})"
            raise ModelError(f"{path}: is no whole safetensors file; expected weights, got {got}") from error
