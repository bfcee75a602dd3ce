"""A path that cannot be written is one message, whatever the disk says."""

import errno

import pytest

from gnomon import cli
from gnomon.cli import app as commands


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileExistsError(errno.EEXIST, "File exists", "plan.yaml"),
            "gnomon: plan.yaml: File exists; name another path",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "x.html"),
            "gnomon: x.html: Read-only file system; name another path",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "gnomon: No space left on device; name another path"),
    ],
)
def test_what_the_disk_says_is_one_message(monkeypatch, capsys, error, said):
    def fails():
        raise error

    monkeypatch.setattr(commands, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip() == said


def test_any_other_fault_of_the_system_is_a_bug_and_no_message(monkeypatch):
    def fails():
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(commands, "app", fails)
    with pytest.raises(OSError, match="Bad file descriptor"):
        cli.main()
