"""How every command ends: a person's mistake is one line on standard error and exit code 2."""

import sys
from collections.abc import Callable

from refdiff.errors import RefdiffError

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted; run the same command again (`dvc repro`, if that started it) to go on"


def run_command(main: Callable[[], None]) -> None:
    """Run `main` and end the process as a command should end.

    Exit codes: 0 done; 2 refused with a message (`RefdiffError`); 130 interrupted. Other exceptions are defects of
    refdiff and keep their traceback.
    """
    try:
        main()
    except RefdiffError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
