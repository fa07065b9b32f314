"""The model card: metadata that parses, figures that are the report's."""

from __future__ import annotations

import pytest
import yaml

from lucency.report.checklists import fill, guidelines
from lucency.report.write import model_card

from .samples import known, unknown


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
