"""Temporary files: whose writers live they stay, others go."""

import multiprocessing
import os
import re
import time
from pathlib import Path

import pytest

from benchmarks.records import atomic_write as whole_files
from benchmarks.records.atomic_write import (
    ABANDONED,
    sweep,
    temporary_file,
    write_whole,
    written_folder,
    written_whole,
)
from tests.benchmarks.helpers import left_by_a_killed_process


def test_files_of_the_living_stay_and_those_of_the_dead_go(tmp_path):
    with written_whole(tmp_path / "mine") as mine:
        mine.write_text("half")
        left = left_by_a_killed_process(tmp_path)
        sweep(tmp_path)
        assert not left.exists()
        assert mine.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_a_process_number_given_again_is_another_process(tmp_path):
    with temporary_file(tmp_path) as mine:
        earlier = tmp_path / re.sub(r"-\d+\.tmp$", "-12.tmp", mine.name)
        earlier.write_text("of a process of the same number, long ago")
        assert earlier != mine
        sweep(tmp_path)
        assert not earlier.exists()


def test_files_of_other_machines_go_after_a_day(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("platform.node", lambda: "node-17.cluster")
        left = left_by_a_killed_process(tmp_path)
    sweep(tmp_path)
    assert left.exists()
    past = time.time() - ABANDONED - 60
    os.utime(left, (past, past))
    sweep(tmp_path)
    assert not left.exists()


def test_files_of_others_are_not_touched(tmp_path):
    names = [".notes.tmp", "1@host-1-2-3.tmp", ".x.json.host.123.tmp", ".1@host-1-2-3.tmp.gz", "a.json"]
    for name in names:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".1@host-1-2-3.tmp").mkdir()
    sweep(tmp_path)
    sweep(tmp_path / "none")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, ".1@host-1-2-3.tmp"])


def test_a_writer_removes_what_was_left_in_its_folder(tmp_path):
    folder = tmp_path / "leaderboards"
    folder.mkdir()
    left_by_a_killed_process(folder)
    whole_files._sweep_once.cache_clear()  # as a new process has it
    write_whole(folder / "page.html", "text")
    assert [p.name for p in folder.iterdir()] == ["page.html"]


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("n" * 250 + ".json")
    write_whole(path, "{}")
    assert path.read_text() == "{}"


def test_two_writers_of_one_process_do_not_share_a_name(tmp_path):
    with temporary_file(tmp_path) as one, temporary_file(tmp_path) as other:
        assert one != other


def test_what_is_not_written_to_its_end_leaves_what_was(tmp_path):
    path = write_whole(tmp_path / "file", "old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:  # noqa: PT012
        temporary.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def written(folder: Path, text: str) -> Path:
    with written_folder(folder) as new:
        (new / "file").write_text(text)
    return folder


def killed_while_it_writes(folder: Path, renames: int) -> None:
    """A process that writes `folder` is killed before so many renames are done."""

    def write():
        rename, done = Path.rename, []

        def counted(path: Path, to: Path) -> Path:
            if len(done) == renames:
                os.kill(os.getpid(), 9)
            done.append(to)
            return rename(path, to)

        Path.rename = counted  # type: ignore[method-assign]  # in the copy of this process alone
        written(folder, "killed")

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    process.join()
    assert process.exitcode == -9


def test_two_writers_of_a_folder_do_not_disturb_each_other(tmp_path):
    folder = written(tmp_path / "suite", "old")
    with written_folder(folder) as one:
        (one / "file").write_text("first")
        written(folder, "second")
        assert (folder / "file").read_text() == "second"
        (one / "more").write_text("first")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"file": "first", "more": "first"}
    assert [p.name for p in tmp_path.iterdir()] == ["suite"]


@pytest.mark.parametrize("renames", [0, 1])
def test_what_a_killed_writer_of_a_folder_left_is_put_right(tmp_path, renames):
    """Before the old folder was moved away, or after: then it is put back where the next one fails too."""
    folder = written(tmp_path / "suite", "old")
    other = written(tmp_path / "suite.b", "of another")
    killed_while_it_writes(folder, renames)
    assert folder.exists() == (renames == 0)
    assert len(list(tmp_path.iterdir())) == (3 if renames == 0 else 2)
    with pytest.raises(RuntimeError), written_folder(folder) as new:  # noqa: PT012
        (new / "file").write_text("half")
        raise RuntimeError
    assert (folder / "file").read_text() == "old"
    assert (other / "file").read_text() == "of another"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["suite", "suite.b"]


def test_a_folder_that_cannot_be_put_in_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    folder = written(tmp_path / "suite", "old")
    rename = Path.rename

    def refused(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise PermissionError
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(PermissionError):
        written(folder, "new")
    assert (folder / "file").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["suite"]
