"""Silence while a film is decoded, and only then."""

from __future__ import annotations

import logging
import os
import threading
import warnings

import pytest

from lucency.film.quiet import dicom_quiet, mute, quiet


def test_warnings_and_logs_are_silent_inside_and_heard_after(caplog):
    with quiet, dicom_quiet:
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
    with mute, mute:
        os.write(2, b"TIFFFetchDirectory: Can not read TIFF directory.")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
