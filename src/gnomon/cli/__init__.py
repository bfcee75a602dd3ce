"""The command line. Each command parses, calls `gnomon.pipeline`, and prints; heavy imports stand inside the commands.

Promises  every command that prints a result takes --json; errors a user can fix are one message on standard error and
          exit code 2 (30: integrity); bugs are tracebacks
"""

import errno
import sys

_FULL = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT})
"""What a disk says to whoever writes, with or without a file's name."""


def main() -> None:
    """Run the command line."""
    from gnomon.cli.app import app
    from gnomon.errors import GnomonError

    try:
        app()
    except GnomonError as error:
        print(f"gnomon: {error}", file=sys.stderr)  # noqa: T201  the command line's own words
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:  # `gnomon trials | head`
        sys.stderr.close()
        raise SystemExit(141) from None
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"gnomon: {where}{error.strerror}; name another path", file=sys.stderr)  # noqa: T201  as above
        raise SystemExit(2) from None
