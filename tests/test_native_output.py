"""Silence while a film is decoded or a network opened, and only then."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from lucency.native_output import held_stderr, quiet, quiet_dicom


def test_warnings_and_logs_are_silent_inside_and_heard_after(caplog):
    with quiet, quiet_dicom:
        warnings.warn("Invalid value for VR UI: 'DOE^JANE'", stacklevel=1)
        logging.getLogger("pydicom").warning("Invalid value for VR UI: 'DOE^JANE'")
        logging.getLogger("PIL.TiffImagePlugin").critical("tag: Artist: DOE JANE")
    assert not caplog.records
    logging.getLogger("pydicom").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_threads_that_overlap_leave_the_program_as_it_was():
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


def test_an_error_inside_ends_the_silence():
    filters = list(warnings.filters)
    with pytest.raises(KeyError), quiet:
        raise KeyError
    assert warnings.filters == filters


def test_what_a_c_library_prints_is_not_heard(capfd):
    with held_stderr(replay=False), held_stderr():
        os.write(2, b"TIFFFetchDirectory: Can not read TIFF directory.")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_chatter_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with held_stderr():
        os.write(2, b"chatter of a library in C\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_chatter_before_a_failure_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), held_stderr():
        os.write(2, b"why it failed\n")
        raise ValueError("no")
    assert capfd.readouterr().err == "why it failed\n"


def test_threads_that_meet_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    both = threading.Event()

    def chatter(number: int) -> None:
        with held_stderr():
            both.wait(0.01)  # long enough for the other to arrive
            os.write(2, b"chatter")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(chatter, range(8)))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_two_kinds_of_block_that_overlap_leave_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
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
