"""The model card: metadata that parses, figures that are the report's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from lucency.evaluate.predictions import Predictions
from lucency.report.checklists import fill, guidelines
from lucency.report.write import _call, model_card, probability_of_truth, worst

from .samples import known, predictions, unknown


def test_metadata_block() -> None:
    reader = known()
    _, block, text = model_card(reader, [fill(one, reader) for one in guidelines()]).split("---\n", 2)
    meta = yaml.safe_load(block)
    assert meta["license"] == "apache-2.0"
    assert meta["pipeline_tag"] == "image-classification"
    (entry,) = meta["model-index"]
    (result,) = entry["results"]
    assert set(result) == {"task", "dataset", "metrics"}
    assert result["dataset"] == {"name": "films", "type": "kermany", "split": "test"}
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    auroc = reader.report.measure("auroc").value
    assert auroc is not None
    assert values["roc_auc"] == round(auroc, 4)
    assert values["recall"] == 0.9  # six of sixty missed
    assert "Not a medical device" in text
    assert "| AUROC | 0." in text
    assert "| cause: virus |" in text


def test_the_hub_library_reads_the_card() -> None:
    """Its classes are the schema: an entry that it does not understand is an error there."""
    hub = pytest.importorskip("huggingface_hub", reason="needs lucency[hub]")
    reader = known()
    data = hub.ModelCard(model_card(reader, [])).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "lucency", "image-classification")
    found = {result.metric_type: result.metric_value for result in data.eval_results}
    assert found["roc_auc"] == pytest.approx(reader.report.measure("auroc").value, abs=1e-4)
    assert {result.dataset_type for result in data.eval_results} == {"kermany"}


def test_names_cannot_break_the_metadata() -> None:
    reader = known(data='films: "here"\n- there')
    block = model_card(reader, []).split("---\n", 2)[1]
    assert yaml.safe_load(block)["model-index"][0]["results"][0]["dataset"]["name"] == 'films: "here"\n- there'


def test_a_model_card_of_an_empty_card() -> None:
    reader = unknown()
    card = model_card(reader, [fill(one, reader) for one in guidelines()])
    assert "not stated in the card" in card
    assert "The card states none, which does not mean that there are none." in card
    assert yaml.safe_load(card.split("---\n", 2)[1])["license"] == "other"


def test_the_most_confident_errors_come_first() -> None:
    found = worst(predictions(), 0.5, each=4)
    # Ill films are 2, 3, 6, 7, 10, 11 …; the first six are missed with logits -7 to -2.
    assert found == {"missed": (2, 3, 6, 7), "false alarms": ()}
    assert worst(predictions(), 0.999, each=2)["missed"] == (2, 3)
    assert len(worst(predictions(), 0.001, each=100)["false alarms"]) == 60


def test_answered_errors_come_before_referred_ones() -> None:
    films = predictions()
    answered = np.ones(len(films), dtype=bool)
    answered[[2, 3]] = False
    assert worst(replace(films, answered=answered), 0.5, each=6)["missed"] == (6, 7, 10, 11, 2, 3)


def of(task: str, labels: list[object], probabilities: list[list[float]]) -> Predictions:
    p = np.array(probabilities)
    n = len(p)
    names = ("a", "b", "c")[: p.shape[1]]
    return Predictions(
        tuple(f"f{i}" for i in range(n)),
        (None,) * n,
        np.array(labels),
        np.log(p),
        p,
        names,
        task,  # type: ignore[arg-type]
    )


def test_several_classes() -> None:
    films = of("multiclass", [0, 1, 2], [[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.9, 0.09, 0.01]])
    assert probability_of_truth(films).tolist() == pytest.approx([0.7, 0.4, 0.01])
    assert worst(films, 0.5) == {"called wrongly": (2, 1)}


def test_several_findings() -> None:
    films = of("multilabel", [[1, 0], [1, 1]], [[0.9, 0.2], [0.8, 0.1]])
    assert probability_of_truth(films).tolist() == pytest.approx([0.8, 0.1])
    assert worst(films, 0.5) == {"called wrongly": (1,)}
    assert _call(films, (0.5, 0.3), 1) == ("a|b", "a", "b 0.100, called from 0.3")
