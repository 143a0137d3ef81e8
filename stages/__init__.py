"""One script per stage of dvc.yaml.

Libraries take seconds to import, before a script's own code begins: an interruption then ends it with the same line.
"""

import sys
from types import TracebackType

from refdiff.command import INTERRUPTED


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _show
