"""Files are replaced as a whole, or left as they were."""

import os
import signal
import subprocess
import sys

import pytest

from dynamics.numerics.files import replacing, write_text
from tests.full_disk import full_disk


def test_a_file_is_replaced_with_its_permissions(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    with replacing(path) as fresh:
        fresh.write_text("new")
        assert path.read_text() == "old" and fresh.suffix == ".txt"
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(error, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as fresh:
        fresh.write_text("ne")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_text(path, "new" * 1000)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


WRITER = """
import sys, time
from dynamics.numerics.files import replacing
with replacing(sys.argv[1]) as fresh:
    fresh.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    path, other = tmp_path / "a[1]*.txt", tmp_path / f".a.{'0' * 32}.new.txt"
    for file in (path, other):
        file.write_text("old")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writing\n"
    write_text(path, "new")  # while the other process writes
    assert len(list(tmp_path.iterdir())) == 3
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 3
    write_text(path, "newer")
    assert path.read_text() == "newer" and set(tmp_path.iterdir()) == {path, other}


def test_a_file_that_is_being_written_is_not_removed(tmp_path):
    """Two writers of one file: each writes a file of its own, and the last one replaces the other's."""
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_to_the_file(tmp_path):
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "a.txt", tmp_path / "b.txt"
    file.write_text("old")
    link.symlink_to(file)
    write_text(link, "new")
    assert link.is_symlink() and file.read_text() == "new"


def test_a_pipe_is_written_directly(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "text")
    assert os.read(reader, 10) == b"text" and os.listdir(tmp_path) == ["pipe"]
    os.close(reader)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such folder: .*nowhere"):
        write_text(tmp_path / "nowhere" / "a.txt", "text")
