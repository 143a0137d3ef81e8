"""Whether a worker would compute what the run that sent it work would."""

import json
from collections.abc import Mapping
from typing import Any

from refdiff.errors import StoreMismatchError
from refdiff.store.work import WorkFolder


def check_agreement(work: WorkFolder, here: Mapping[str, Any]) -> None:
    """See that this worker has the model, code, libraries, inputs and kind of device that a store was begun with.

    Args:
        work: The store in the making.
        here: Facts as this worker finds them; those of the store that are not among them are not compared.

    Raises:
        StoreMismatchError: It has others, so its values could be others.
    """
    begun = json.loads(json.dumps({name: work.facts.get(name) for name in here}))
    found = json.loads(json.dumps(here))
    other = [name for name in here if begun[name] != found[name]]
    if other:
        name = other[0]
        raise StoreMismatchError(
            f"{work.path}: this worker has another {name} than the run that began the store; expected {begun[name]}, "
            f"got {found[name]}; give all workers the same"
        )
