"""Silence while a film is decoded or a network opened, and only then."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from lucency.native_output import held_stderr, interrupts_held, quiet, quiet_dicom


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores Ctrl-C until it is told otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_warnings_and_logs_are_silenced_inside_only(caplog):
    with quiet, quiet_dicom:
        warnings.warn("Invalid value for VR UI: 'DOE^JANE'", stacklevel=1)
        logging.getLogger("pydicom").warning("Invalid value for VR UI: 'DOE^JANE'")
        logging.getLogger("PIL.TiffImagePlugin").critical("tag: Artist: DOE JANE")
    assert not caplog.records
    logging.getLogger("pydicom").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_overlapping_threads_restore_warnings_and_logs():
    filters, level = list(warnings.filters), logging.getLogger("PIL").level
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with quiet:
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with quiet:
            second_in.set()
            first_out.wait(10)

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == filters
    assert logging.getLogger("PIL").level == level


def test_an_error_inside_restores_output():
    filters = list(warnings.filters)
    with pytest.raises(KeyError), quiet:
        raise KeyError
    assert warnings.filters == filters


def test_output_of_c_libraries_is_silenced(capfd):
    with held_stderr(replay=False), held_stderr():
        os.write(2, b"TIFFFetchDirectory: Can not read TIFF directory.")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_held_stderr_drops_output(capfd: pytest.CaptureFixture[str]) -> None:
    with held_stderr():
        os.write(2, b"chatter of a library in C\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_held_stderr_prints_output_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), held_stderr():
        os.write(2, b"why it failed\n")
        raise ValueError("no")
    assert capfd.readouterr().err == "why it failed\n"


def test_overlapping_threads_restore_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    both = threading.Event()

    def chatter(number: int) -> None:
        with held_stderr():
            both.wait(0.01)  # long enough for the other to arrive
            os.write(2, b"chatter")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(chatter, range(8)))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_overlapping_blocks_of_two_kinds_restore_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """A TIFF is decoded while a network is opened: each used to give the other's file back as stderr, for good."""
    decoding, opening, decoded = threading.Event(), threading.Event(), threading.Event()

    def decode() -> None:
        with held_stderr(replay=False):
            decoding.set()
            opening.wait(10)
        decoded.set()

    def open_network() -> None:
        decoding.wait(10)
        with held_stderr():
            opening.set()
            decoded.wait(10)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(decode), pool.submit(open_network)]:
            done.result()
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


@pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX")
def test_ctrl_c_waits_for_the_end_of_native_code(interruptible):
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before
    with interrupts_held():
        pass
