"""Subgroups: by hand, by law, and by how often a gap is reported where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lucency.errors import UsageError
from lucency.evaluate import evaluate_predictions
from lucency.evaluate.subgroups import MIN_PATIENTS, as_number, subgroup_masks, subgroups, usable_columns

from .samples import binary, drawn, several

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
LOGITS = [-2.0, -1.0, 1.0, -3.0, 2.0, -1.5, 3.0, 0.5]
SEX = ("F", "F", "F", "M", "F", "F", "M", "M")


def test_by_hand() -> None:
    women, men = subgroups(binary(LABELS, LOGITS, columns={"sex": SEX}), "sex", resamples=100)
    assert (women.value, women.films, women.patients, women.with_finding) == ("F", 5, 5, 2)
    # Women: -2 and -1 are called well, 1 is a false alarm; 2 is found, -1.5 missed.
    assert women.figure("sensitivity").value == pytest.approx(1 / 2)
    assert women.figure("specificity").value == pytest.approx(2 / 3)
    assert women.figure("accuracy").value == pytest.approx(3 / 5)
    # Pairs in order: 2 over all three; -1.5 over -2 only: 4 of 6
    assert women.figure("auroc").value == pytest.approx(4 / 6)
    assert men.figure("accuracy").value == 1
    assert women.figure("accuracy").gap == pytest.approx(3 / 5 - 1)
    assert men.figure("accuracy").gap == pytest.approx(1 - 3 / 5)


def test_a_part_equals_judging_it_alone() -> None:
    predictions = drawn(120, 1.5)
    parts = tuple("a" if i % 6 < 2 else "b" for i in range(120))
    predictions = binary(
        predictions.labels.tolist(),
        predictions.logits[:, 0].tolist(),
        patients=predictions.patients,
        columns={"site": parts},
    )
    first = subgroups(predictions, "site", resamples=100)[0]
    alone = evaluate_predictions(predictions.pick(np.array(parts) == "a"), resamples=100)
    for name in ("accuracy", "sensitivity", "specificity", "auroc"):
        assert first.figure(name).value == pytest.approx(alone.measure(name).value)


def test_a_cause_is_ranked_against_all_who_are_well() -> None:
    cause = ("normal",) * 4 + ("virus", "virus", "bacteria", "bacteria")
    found = {part.value: part for part in subgroups(binary(LABELS, LOGITS, columns={"cause": cause}), "cause")}
    truth, scores = np.array(LABELS), np.array(LOGITS)
    for value in ("virus", "bacteria"):
        here = (truth == 0) | (np.array(cause) == value)
        assert found[value].figure("auroc").value == pytest.approx(roc_auc_score(truth[here], scores[here]))
        assert found[value].figure("specificity").value is None
    assert found["normal"].figure("auroc").value == pytest.approx(roc_auc_score(truth, scores))
    assert found["normal"].figure("sensitivity").value is None


def test_a_cause_ranked_without_a_flaw_has_the_bounds_of_its_patients() -> None:
    labels = [0] * 30 + [1] * 20
    cause = ("normal",) * 30 + ("virus",) * 12 + ("bacteria",) * 8
    logits = [-1.0] * 30 + [2.0] * 12 + [-2.0] * 8
    found = {part.value: part for part in subgroups(binary(labels, logits, columns={"cause": cause}), "cause")}
    # 12 patients with virus against 30 without: 12 disjoint pairs, 0.025^(1/12) = 0.735
    area = found["virus"].figure("auroc")
    assert (area.value, area.low, area.high) == (1.0, pytest.approx(0.7354, abs=1e-3), 1.0)


def test_small_parts_claim_no_gap() -> None:
    columns = {"sex": tuple("F" if i < MIN_PATIENTS - 1 else "M" for i in range(60))}
    predictions = binary(
        [i % 2 for i in range(60)], [(i % 2) * 2 - 1 + (i % 7 == 0) for i in range(60)], columns=columns
    )
    for part in subgroups(predictions, "sex", resamples=100):
        assert part.figure("accuracy").gap is not None
        assert part.figure("accuracy").gap_low is None
        assert not part.figure("accuracy").differs


def test_a_perfect_part_claims_no_more_than_its_patients_show() -> None:
    """Twelve of twelve right is no proof of better than 95 of 100: exact bounds enter the gap."""
    labels = [i % 2 for i in range(112)]
    logits = [1.0 if label else -1.0 for label in labels]
    for wrong in (20, 41, 60, 81, 100):
        logits[wrong] = -logits[wrong]
    columns = {"site": ("new",) * 12 + ("old",) * 100}
    new = subgroups(binary(labels, logits, columns=columns), "site", resamples=200)[0].figure("accuracy")
    # 12 of 12: Clopper-Pearson 0.025^(1/12) = 0.735
    assert (new.value, new.low, new.high) == (1.0, pytest.approx(0.7354, abs=1e-3), 1.0)
    assert not new.differs
    assert new.gap_low is not None
    assert new.gap_low < -0.2


def test_a_planted_gap_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 600)
    site = rng.integers(0, 2, 600)
    logits = (2 * truth - 1) * np.where(site == 1, 0.4, 2.5) + rng.normal(size=600)
    predictions = binary(
        truth.tolist(), logits.tolist(), columns={"site": tuple(map(str, site)), "odd": ("x", "y") * 300}
    )
    assert all(part.figure("auroc").differs for part in subgroups(predictions, "site", resamples=400))
    assert not any(part.figure("auroc").differs for part in subgroups(predictions, "odd", resamples=400))


def test_gaps_claimed_where_there_is_none() -> None:
    """Four sites without a difference, two films a patient: a gap is seldom claimed."""
    claimed = 0
    for seed in range(40):
        predictions = drawn(240, 1.2, seed=seed)
        sites = tuple(str(i // 2 % 4) for i in range(240))
        parts = subgroups(
            binary(
                predictions.labels.tolist(),
                predictions.logits[:, 0].tolist(),
                patients=predictions.patients,
                columns={"site": sites},
            ),
            "site",
            resamples=300,
        )
        claimed += any(part.figure("accuracy").differs for part in parts)
    # 5 % at most by Bonferroni; of 40, eight or more have a chance of 0.07 %
    assert claimed < 8


def test_numbers_are_cut_into_quarters() -> None:
    ages = tuple(f"{i + 1:03}Y" for i in range(40))
    predictions = binary([i % 2 for i in range(40)], [0.1] * 40, columns={"age": ages})
    parts = subgroup_masks(predictions, "age")
    assert list(parts) == ["1 to below 10", "10 to below 20", "20 to below 30", "30 to 40"]
    assert sum(part.sum() for part in parts.values()) == 40
    assert np.all(np.sum(list(parts.values()), axis=0) == 1)


def test_no_value_is_unknown() -> None:
    predictions = binary(LABELS, LOGITS, columns={"sex": ("F", "", "F", "M", "", "F", "M", " ")})
    assert {name: int(mask.sum()) for name, mask in subgroup_masks(predictions, "sex").items()} == {
        "F": 3,
        "M": 2,
        "unknown": 3,
    }
    assert (as_number("034Y"), as_number("006M"), as_number("71")) == (34, 0.5, 71)
    assert np.isnan(as_number("F"))


def test_columns_that_make_no_parts() -> None:
    columns = {"name": tuple(f"film-{i}" for i in range(40)), "site": ("a",) * 40, "sex": ("F", "M") * 20}
    predictions = binary([i % 2 for i in range(40)], [0.1] * 40, columns=columns)
    assert usable_columns(predictions) == ("sex",)
    with pytest.raises(UsageError, match="40 different values, expected at most 12, or numbers"):
        subgroups(predictions, "name")
    with pytest.raises(UsageError, match="all films have the value 'a'"):
        subgroups(predictions, "site")
    with pytest.raises(UsageError, match=r"have \(name, site, sex\); received 'age'"):
        subgroups(predictions, "age")


def test_several_findings() -> None:
    predictions = several("multilabel", 80, 3)
    parts = subgroups(predictions, "age", resamples=100)
    assert {part.finding for part in parts} == {"finding 0", "finding 1", "finding 2"}
    assert len(parts) == 12
