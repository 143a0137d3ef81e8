"""What a weights file holds, from its header alone: nothing of the weights is read, and torch is not needed."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from refdiff.errors import ModelError, translate_read_errors
from refdiff.file_kind import recognise

# Those that may really hold weights; a zip archive is one of torch.
_PICKLES = {b"PK\x03\x04": "a pickle of torch", b"\x80": "a pickle"}


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Number type and shape of every tensor, by name.

    Raises:
        ModelError: It is no safetensors file, or a part of one; the file is as long as its header says otherwise.
        UnreadableError: It cannot be read now.
        OSError: There is no such file.
    """
    with translate_read_errors(path):
        with path.open("rb") as file:
            start = file.read(2048)
        try:
            with safe_open(path, framework="numpy") as tensors:
                slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 it is no mapping
                return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
        except SafetensorError as error:
            kind, advice = recognise(start) or (f"{path.stat().st_size} bytes that do not fit a header ({error})", None)
            got = f"{kind}; {advice}" if advice else kind
            got = next((what for magic, what in _PICKLES.items() if start.startswith(magic)), got)
            raise ModelError(f"{path}: is no whole safetensors file; expected weights, got {got}") from error
