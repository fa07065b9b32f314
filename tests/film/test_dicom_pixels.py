"""From stored DICOM values to gray, by hand and against pydicom's own transforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from lucency.errors import FilmError
from lucency.film.dicom_pixels import gray_table, stored_values, window


def header(**attributes) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.PixelRepresentation = 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_stored_values_are_twos_complement_where_signed():
    assert stored_values(3, signed=False).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert stored_values(3, signed=True).tolist() == [0, 1, 2, 3, -4, -3, -2, -1]


def test_nothing_to_do_is_the_identity():
    table, voi = gray_table(header(), 8, signed=False)
    assert table.tolist() == list(range(256))
    assert voi == "none"


def test_the_customary_eight_bit_window_is_the_identity():
    table, voi = gray_table(header(WindowCenter=128, WindowWidth=256), 8, signed=False)
    assert table.tolist() == list(range(256))
    assert voi == "window"


def test_twelve_bits_span_sixteen_whatever_the_film_holds():
    table, _ = gray_table(header(), 12, signed=False)
    assert table.dtype == np.uint16
    assert [table[0], table[4095], table[2048]] == [0, 65535, round(2048 / 4095 * 65535)]


def test_linear_window_by_hand():
    # PS3.3 C.11.2.1.2.1, note: centre 2048, width 4096 maps 0 to 0 and 4095 to the top.
    assert window(np.array([0.0, 4095.0]), 2048, 4096, "LINEAR").tolist() == [0, 1]
    # Its note 4: centre 0, width 100: -50 and below is the bottom, 49 and above the top.
    assert window(np.array([-51.0, -50.0, 49.0, 50.0]), 0, 100, "LINEAR").tolist() == [0, 0, 1, 1]


def test_linear_window_of_width_one_is_a_threshold():
    assert window(np.array([99.0, 100.0, 101.0]), 100, 1, "LINEAR").tolist() == [0, 1, 1]


def test_exact_window_by_hand():
    # PS3.3 C.11.2.1.3.2: centre 100, width 50 maps 75 to 0, 100 to the middle, 125 to the top.
    assert window(np.array([75.0, 100.0, 125.0]), 100, 50, "LINEAR_EXACT").tolist() == [0, 0.5, 1]


def test_sigmoid_by_hand():
    # PS3.3 C.11.2.1.3.1: half at the centre; half a width above it 1 / (1 + e^-2) = 0.880797.
    levels = window(np.array([100.0, 125.0, 1e6, -1e6]), 100, 50, "SIGMOID")
    assert levels == pytest.approx([0.5, 0.880797, 1.0, 0.0], abs=1e-6)


def test_an_unknown_window_function_is_refused():
    with pytest.raises(FilmError, match="VOILUTFunction CUBIC"):
        gray_table(header(WindowCenter=1, WindowWidth=5, VOILUTFunction="CUBIC"), 8, signed=False)


def test_the_window_meets_the_rescaled_value():
    # stored 0 … 255 become -100 … 155; the window -50 … 49 starts at stored 50.
    dataset = header(RescaleSlope=1, RescaleIntercept=-100, WindowCenter=0, WindowWidth=100)
    table, _ = gray_table(dataset, 8, signed=False)
    assert [table[50], table[149]] == [0, 255]
    assert table[51] == round(255 / 99)


def test_a_negative_slope_turns_the_gray_round():
    table, _ = gray_table(header(RescaleSlope=-1, RescaleIntercept=0), 8, signed=False)
    assert table.tolist() == list(range(255, -1, -1))


def test_signed_values_span_from_the_most_negative():
    table, _ = gray_table(header(PixelRepresentation=1), 8, signed=True)
    assert [table[0x80], table[0xFF], table[0x00], table[0x7F]] == [0, 127, 128, 255]


def test_a_voi_lut_is_preferred_to_a_window(make_lut):
    dataset = header(WindowCenter=128, WindowWidth=256, VOILUTSequence=[make_lut([0, 1000, 4095], 10, 12)])
    table, voi = gray_table(dataset, 8, signed=False)
    # Below the first mapped value its first entry, above the last its last.
    assert table[[0, 10, 11, 12, 200]].tolist() == [0, 0, round(1000 / 4095 * 255), 255, 255]
    assert voi == "lut"


def test_the_first_of_several_windows_and_luts_counts(make_lut):
    windows = header(WindowCenter=[128, 10], WindowWidth=[256, 5])
    assert gray_table(windows, 8, signed=False)[0].tolist() == list(range(256))
    luts = header(VOILUTSequence=[make_lut([0, 255], 0, 8), make_lut([255, 0], 0, 8)])
    assert gray_table(luts, 8, signed=False)[0][[0, 1]].tolist() == [0, 255]


def test_the_modality_lut_replaces_rescale(make_lut):
    dataset = header(RescaleSlope=50, ModalityLUTSequence=[make_lut([0, 65535], 7, 16)])
    assert gray_table(dataset, 8, signed=False)[0][[7, 8]].tolist() == [0, 255]


def test_a_lut_over_negative_values(make_lut):
    dataset = header(PixelRepresentation=1, VOILUTSequence=[make_lut([0, 100, 255], -1, 8)])
    table, _ = gray_table(dataset, 8, signed=True)
    assert table[[0x80, 0xFF, 0x00, 0x01, 0x7F]].tolist() == [0, 0, 100, 255, 255]


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", None, False),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME1", "INVERSE", True),  # both say the same: once, not twice
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_inverted_exactly_once(photometric, shape, inverted):
    dataset = header(PhotometricInterpretation=photometric)
    if shape:
        dataset.PresentationLUTShape = shape
    table, _ = gray_table(dataset, 8, signed=False)
    assert table.tolist() == [255 - code if inverted else code for code in range(256)]


def test_inverted_after_the_window_not_before():
    # Stored 60 lies 10/99 into the window 50 … 149, so 1 - 10/99 inverted. Inverted first it would be 195: white.
    dataset = header(PhotometricInterpretation="MONOCHROME1", WindowCenter=100, WindowWidth=100)
    table, _ = gray_table(dataset, 8, signed=False)
    assert table[60] == round((1 - 10 / 99) * 255)


def test_padding_is_black_whatever_the_polarity():
    dataset = header(PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0, PixelPaddingRangeLimit=2)
    table, _ = gray_table(dataset, 8, signed=False)
    assert table[:4].tolist() == [0, 0, 0, 252]


def test_a_window_without_width_is_no_window():
    table, voi = gray_table(header(WindowCenter=0, WindowWidth=0), 8, signed=False)
    assert table.tolist() == list(range(256))
    assert voi == "none"


def test_a_slope_of_zero_is_refused():
    with pytest.raises(FilmError, match="RescaleSlope 0"):
        gray_table(header(RescaleSlope=0), 8, signed=False)


def test_a_lut_shorter_than_it_says_is_refused(make_lut):
    item = make_lut([1, 2, 3], 0, 8)
    item.LUTDescriptor = [4, 0, 8]
    with pytest.raises(FilmError, match="3 entries instead of 4"):
        gray_table(header(VOILUTSequence=[item]), 8, signed=False)


@settings(deadline=None, max_examples=60)
@given(
    bits=st.integers(9, 16),
    signed=st.booleans(),
    slope=st.sampled_from([1.0, 0.5, 2.0, 0.1]),  # pydicom orders the ends wrongly where it is negative
    intercept=st.integers(-2000, 2000),
    center=st.integers(-3000, 60000),
    width=st.integers(2, 70000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_windows_are_pydicoms(bits, signed, slope, intercept, center, width, function):
    dataset = header(
        BitsAllocated=16,
        BitsStored=bits,
        PixelRepresentation=int(signed),
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
    )
    stored = stored_values(bits, signed)
    # pydicom puts out the range of the modality transform; brought to 0 … 65535 as it orders the ends.
    ends = sorted(slope * end + intercept for end in (stored.min(), stored.max()))
    with np.errstate(over="ignore"):  # pydicom's sigmoid, far from the centre
        theirs = apply_voi_lut(apply_modality_lut(stored.astype(np.int64), dataset), dataset)
    expected = (theirs - ends[0]) / (ends[1] - ends[0]) * 65535
    ours, _ = gray_table(dataset, bits, signed)
    assert np.abs(ours - expected).max() <= 0.51
