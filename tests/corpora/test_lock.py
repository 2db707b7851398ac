"""Leases in buckets: one holder at a time, whatever dies, sleeps or is cut off; and the folders that tell who lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corpora import lock, spool
from corpora.errors import LakeError
from corpora.lake import Lake
from corpora.room import Room

REPOSITORY = str(Path(__file__).resolve().parents[2])


@pytest.fixture(params=["memory", "s3"])
def room(request: pytest.FixtureRequest) -> Room:
    url = request.getfixturevalue("bucket") if request.param == "s3" else f"memory://{uuid.uuid4().hex}"
    return Lake(f"{url}/lake").room("news")


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of other processes but what the bucket says, as on another machine."""
    monkeypatch.setattr(spool, "machine", lambda: None)
    monkeypatch.setattr(lock, "BEAT", 0.05)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, far: None) -> None:
    """One that gives no sign of life is soon taken for dead."""
    monkeypatch.setattr(lock, "DEAD", 0.5)


def again(room: Room) -> Room:
    """The same room, opened by someone else."""
    return Lake(room.lake.url).room(room.name)


def notes(room: Room) -> dict[str, dict]:
    """What lies under `lock/`."""
    return {path.rpartition("/")[2]: json.loads(room.fs.cat_file(path)) for path in room.fs.find(f"{room.root}/lock")}


def leave(room: Room, number: int = 4, **note: object) -> None:
    """The lease of a holder that is gone."""
    gone = {"holder": "ingest, process 7 on elsewhere", "machine": "elsewhere", "spool": "/nowhere", "beat": 3} | note
    room.fs.pipe_file(f"{room.root}/lock/{number}", json.dumps(gone).encode())


def test_a_lease_is_given_back_and_its_number_stays(room: Room) -> None:
    for number in ("1", "2", "3"):
        with room.lock("ingest"):
            assert list(notes(room)) == [number]
            assert notes(room)[number]["holder"].startswith(f"ingest, process {os.getpid()} on ")
        assert [(name, note["beat"]) for name, note in notes(room).items()] == [(number, None)]


def test_a_holder_that_beats_is_named_to_a_second_one(room: Room, far: None) -> None:
    with (
        room.lock("ingest"),
        pytest.raises(LakeError, match=rf"^news is being written by ingest, process {os.getpid()}"),
    ):
        again(room).lock("tokenize").__enter__()


def test_a_holder_of_this_machine_that_lives_is_not_waited_for(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 1000.0)
    with room.lock("ingest"), pytest.raises(LakeError, match="news is being written by ingest"):
        again(room).lock("tokenize").__enter__()


def test_a_holder_without_a_beat_is_taken_over(room: Room, impatient: None) -> None:
    leave(room)
    said: list[str] = []
    with room.lock("ingest", said.append):
        assert list(notes(room)) == ["5"]
    assert len(said) == 1
    assert said[0].startswith("news is held by ingest, process 7 on elsewhere, which gives no sign of life")


def test_of_two_that_wait_one_takes_over(room: Room, impatient: None) -> None:
    leave(room)
    held, refused, done = [], [], threading.Event()

    def wait() -> None:
        try:
            with again(room).lock("ingest") as mine:
                lock.DEAD = 1000.0  # on a busy machine a beat may be late
                held.append(mine)
                done.wait(60)
        except LakeError as error:
            refused.append(str(error))
            done.set()

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 1)
    assert refused[0].startswith(f"news is being written by ingest, process {os.getpid()}")


def test_a_holder_that_slept_publishes_nothing(room: Room, impatient: None) -> None:
    with pytest.raises(LakeError, match="news was taken over while") as lost, room.lock("ingest") as asleep:
        asleep.publish(ingest={"n": 1})
        lease = asleep._lease
        lease._over.set()  # no beat from now on
        lease._heart.join()
        with again(room).lock("tokenize") as successor:
            with pytest.raises(LakeError, match=f"news was taken over by tokenize, process {os.getpid()}"):
                asleep.check_lock()
            successor.publish(ingest={"n": 2})
        lease._write(9)  # a beat that was on its way for long
        asleep.publish(ingest={"n": 3})
    assert "nothing was published" in str(lost.value)
    assert again(room).manifest("ingest") == {"n": 2}
    assert notes(room)["2"]["beat"] is None, "what woke up must not hold up the next one"
    with again(room).lock("ingest"):
        assert list(notes(room)) == ["3"]


def test_what_was_seen_as_free_long_ago_is_not_taken(room: Room, far: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One looked, others took the lease and gave it back meanwhile, and the next one holds it."""
    leave(room, 1, beat=None)
    real, seen = lock.Lease._highest, []

    def slow(self: lock.Lease) -> tuple:
        seen.append(real(self))
        if len(seen) == 1:
            room.fs.rm_file(f"{room.root}/lock/1")
        leave(room, 3, holder="the third", beat=len(seen))
        return seen[-1]

    monkeypatch.setattr(lock.Lease, "_highest", slow)
    with pytest.raises(LakeError, match="is being written by the third"), room.lock("ingest"):
        pass
    assert list(notes(room)) == ["3"]


def test_a_create_whose_answer_was_lost_has_won(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable = room.fs.pipe_file

    def repeated(path: str, data: bytes, **options: str) -> None:
        real(path, data, **options)
        if options.get("mode") == "create":  # what a client does that heard nothing
            real(path, data, **options)

    monkeypatch.setattr(room.fs, "pipe_file", repeated)
    with room.lock("ingest"):
        assert list(notes(room)) == ["1"]


def test_beats_that_fail_end_nothing(room: Room, far: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with room.lock("ingest") as held:
        failed = threading.Event()

        def failing(*arguments: object, **options: object) -> None:
            failed.set()
            raise ConnectionError

        with monkeypatch.context() as patch:
            patch.setattr(room.fs, "pipe_file", failing)
            assert failed.wait(60)
        before = notes(room)["1"]["beat"]
        while notes(room)["1"]["beat"] <= before:
            pass
        held.publish(ingest={"n": 1})
    assert room.manifest("ingest") == {"n": 1}


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(FileNotFoundError) as error:
        Lake(f"{bucket}-not/lake").room("news").lock("ingest").__enter__()
    assert (error.value.strerror, error.value.filename) == (
        "The specified bucket does not exist",
        f"{bucket.removeprefix('s3://')}-not/lake/news/lock",
    )


HOLD = """
import sys
from corpora.lake import Lake
with Lake(sys.argv[1]).room("news").lock("ingest") as room:
    (room.spool / "half").write_text("a part")
    print(room.spool, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def killed(bucket: str) -> Iterator[tuple[Room, Path]]:
    """A room whose holder, a process of this machine, was killed, and the folder it spooled in."""
    command = [sys.executable, "-c", HOLD, f"{bucket}/lake"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": REPOSITORY}, **pipes) as process:
        spooled = Path(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
    yield Lake(f"{bucket}/lake").room("news"), spooled


def test_a_killed_holder_of_this_machine_is_not_waited_for_and_its_folder_goes(killed: tuple[Room, Path]) -> None:
    room, spooled = killed
    assert (spooled / "half").exists()
    with room.lock("ingest"):  # with the beats of every day: waiting would take a minute
        assert not spooled.parent.exists()
        assert list(notes(room)) == ["2"]


def test_a_run_that_finds_all_up_to_date_sweeps(killed: tuple[Room, Path]) -> None:
    room, spooled = killed
    room.lake.room("web").sweep()
    assert spooled.exists(), "it is another room's"
    room.sweep()
    assert not spooled.parent.exists()


# Temporary folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_there_while_it_is_used(temporary: Path) -> None:
    with spool.folder("a") as folder:
        (folder / "file").write_text("x")
        assert spool.in_use(folder)
        assert spool.left("a") == []
        spool.sweep("a")
        assert (folder / "file").exists()
    assert list(temporary.iterdir()) == []
    assert spool.in_use(folder) is None


def test_a_folder_that_nobody_uses_is_swept_by_its_owner(temporary: Path) -> None:
    with spool.folder("a") as folder:
        name = folder.name
    (temporary / name / "sub").mkdir(parents=True)
    spool.sweep("b")
    assert spool.left("a") == [temporary / name]
    spool.sweep("a")
    assert list(temporary.iterdir()) == []


def test_folders_are_made_while_others_sweep(temporary: Path) -> None:
    """A folder that was swept between its making and its locking is made again."""
    over = threading.Event()

    def sweep() -> None:
        while not over.is_set():
            spool.sweep("a")

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(300):
            with spool.folder("a") as folder:
                (folder / "file").write_text("x")
                assert (folder / "file").exists()
    finally:
        over.set()
        sweeper.join()
