"""What can be answered to the items of several guidelines, each from what is known."""

from __future__ import annotations

from lucency import __version__, compat
from lucency.evaluate.confidence_intervals import LEVEL, METHOD
from lucency.report.checklist import Answer, author, filled, partly
from lucency.report.known import Known
from lucency.report.use import RESEARCH
from lucency.report.words import calibrated, chosen, figures, judged, learned, refers, title


def finding(known: Known) -> str:
    """What the reader looks for, in words."""
    names = known.card.labels
    return names[1] if known.card.task == "binary" else ", ".join(names)


def study_title(known: Known) -> Answer:
    """A title to start from."""
    return partly(
        f"To start from: evaluation of a deep-learning reader ({known.card.model.backbone}) for {finding(known)} on "
        "chest radiographs. The target population is yours to name."
    )


def task(known: Known) -> Answer:
    """Diagnostic, and what is predicted."""
    return partly(f"Diagnostic: {finding(known)} on a single chest radiograph, at the time of the film. {RESEARCH}")


def sources(known: Known) -> Answer:
    """Where the films come from."""
    said = [f"Learned from {learned(known)}.", f"Judged on {judged(known)}."]
    for use, facts in (("Films learned from", known.trained_on), ("Films judged on", known.judged_on)):
        if facts:
            said.append(f"{use}: {facts.get('Population', '')} {facts.get('Citation', '')}".strip())
    return partly(" ".join(said) + " Why these films, and whom they stand for, is yours to say.")


def setting(known: Known) -> Answer:
    """Where the patients were seen."""
    population = known.judged_on.get("Population")
    return partly(f"The source states: {population}") if population else author(known)


def outcome(known: Known) -> Answer:
    """What the labels are and who gave them."""
    population = known.judged_on.get("Population", "")
    stated = f" The source states: {population}" if population else ""
    return partly(f"Labels as the data states them: {', '.join(known.card.labels)}.{stated}")


def labelled_by(known: Known) -> Answer:
    """Who gave the labels."""
    population = known.judged_on.get("Population", "")
    return partly(f"The source states: {population}") if "reader" in population else author(known)


def preparation(known: Known) -> Answer:
    """From film to network."""
    square = known.card.preprocess
    return filled(
        f"Each film to {square.image_size} × {square.image_size} gray pixels "
        f"({square.resize_mode}, filter {square.filter}), in integer arithmetic specified to the bit "
        f"and the same for every patient. {_unread(known)}"
    )


def missing(known: Known) -> Answer:
    """Films that could not be read."""
    return filled(_unread(known))


def predictors(known: Known) -> Answer:
    """Pixels only."""
    return filled("The pixels of one film; no clinical variable and no selection among them.")


def no_assessor(known: Known) -> Answer:
    """Nobody interprets the input."""
    return filled("Nobody: the film enters as it is; no judgement is part of the input.")


def scaling(known: Known) -> Answer:
    """How pixels enter the network."""
    return filled(
        "Gray levels as in the item on preparation; the network file holds the scaling that its backbone expects."
    )


def size(known: Known) -> Answer:
    """Study size, and what it can show."""
    said = f"All films of the split were taken: {judged(known)}."
    if known.shows:
        said += f" They show a difference in AUROC of {known.shows:.3f} to a reader about as good (5 %, power 80 %)."
    return partly(said)


def partition(known: Known) -> Answer:
    """How films were parted."""
    training = known.card.training
    if not training.films:
        return author(known)
    split = f"Split hash {training.split_hash[:12]}…" if training.split_hash else "Split not recorded"
    limits = " ".join(limit for limit in known.card.limits if "chose" in limit)
    warning = " The films judged on may include films learned from." if known.may_have_seen else ""
    return filled(f"Learned from {learned(known)}; {split}, seed {training.seed}. {limits}{warning}".strip())


def disjoint(known: Known) -> Answer:
    """Level at which the partitions are apart."""
    if not known.report.patients_known:
        return partly("Not every film names its patient: films of one patient may lie on both sides.")
    if "cross-validation by patient" in str(known.about.get("split")):
        return filled("By patient: each film was judged by a reader that never saw a film of its patient.")
    return partly(
        "lucency parts films by patient when it trains. Whether one judged here was learned from was not checked: "
        "`lucency audit` shows patients and films on both sides of a split."
    )


def network(known: Known) -> Answer:
    """The network."""
    model = known.card.model
    counted = f", {model.parameters:,} parameters" if model.parameters else ""
    size = known.card.preprocess.image_size
    return filled(
        f"{model.backbone}, width {model.width:g}, head {model.head}{counted}; input "
        f"{size} × {size} × 1; outputs a logit per finding and a map of "
        f"evidence. Quantised: {model.quantize}."
    )


def weights(known: Known) -> Answer:
    """Where training began."""
    recipe = known.card.training.recipe
    start = recipe.get("model", {}).get("weights")
    return filled(f"Pretrained weights: {start}.") if start else author(known)


def training(known: Known) -> Answer:
    """How it was trained."""
    done = known.card.training
    if not done.recipe:
        return author(known)
    recipe = compat.rename_recipe(done.recipe)
    phases = "; ".join(_phase(name, recipe[name]) for name in ("head", "finetune") if recipe.get(name))
    drawn = ", ".join(
        f"{name} {value}" for name, value in done.recipe.get("augment", {}).items() if value not in (0, False)
    )
    return filled(
        f"{phases}. Augmentation: {drawn or 'none'}. Seed {done.seed}; {done.minutes:g} minutes. The whole recipe is "
        "in card.json."
    )


def selection(known: Known) -> Answer:
    """Which weights were kept."""
    said = " ".join(limit for limit in known.card.limits if "chose the checkpoint" in limit)
    return filled(said) if said else author(known)


def imbalance(known: Known) -> Answer:
    """What was done about unequal classes."""
    data = known.card.training.recipe.get("data", {})
    if "imbalance" not in data:
        return author(known)
    return filled(f"Method: {data['imbalance']}. Calibration afterwards: {calibrated(known)}.")


def software(known: Known) -> Answer:
    """Versions."""
    versions = ", ".join(f"{name} {number}" for name, number in known.card.training.versions.items())
    return filled(f"Trained with {versions or 'versions not stated'}; judged with lucency {__version__}.")


def measures(known: Known) -> Answer:
    """Which figures and pictures."""
    names = dict.fromkeys(title(measure.name) for measure in figures(known))
    return filled(
        f"{', '.join(names)}; confusion table, ROC, precision-recall, reliability and risk-coverage curves. "
        f"{100 * LEVEL:.0f} % intervals: {METHOD}, {known.report.resamples} draws of "
        f"{'patients' if known.report.patients_known else 'films, as patients are not all known'}."
    )


def performance(known: Known) -> Answer:
    """The figures."""
    said = "; ".join(f"{title(measure.name)} {measure}" for measure in figures(known) if measure.value is not None)
    warning = " May include films learned from, which flatters." if known.may_have_seen else ""
    return filled(f"{judged(known)}: {said}.{warning}")


def by_subgroup(known: Known) -> Answer:
    """Parts of the films."""
    if not known.parts:
        return author(known)
    columns = ", ".join(dict.fromkeys(part.column for part in known.parts))
    return partly(f"By {columns}, with gaps and intervals, in report.html. Other groups are not known here.")


def confusion(known: Known) -> Answer:
    """Errors."""
    tables = "; ".join(f"{name}: {table.tolist()}" for name, table in known.report.confusion.items())
    return filled(f"True label by called: {tables}. The worst errors with their maps are in report.html.")


def output(known: Known) -> Answer:
    """What comes out."""
    return filled(
        f"A probability per finding; {chosen(known)}. Calibration: {calibrated(known)}. Refers: {refers(known)}."
    )


def updating(known: Known) -> Answer:
    """Calibration as updating."""
    return filled(f"Calibration: {calibrated(known)}. No other updating.")


def how_computed(known: Known) -> Answer:
    """How to compute it again."""
    return filled(f"`{known.about.get('command', '')}`, lucency {__version__}, bundle {known.digest[:12]}….")


def differences(known: Known) -> Answer:
    """Learned from against judged on."""
    same = known.card.training.source == known.about.get("source")
    return partly(
        f"The films learned from and judged on come from {'the same source' if same else 'different sources'}."
    )


def flow(known: Known) -> Answer:
    """Who took part."""
    return filled(f"{judged(known)}. {_unread(known)}")


def numbers(known: Known) -> Answer:
    """Films in each analysis."""
    return filled(f"Development: {learned(known)}. Evaluation: {judged(known)}.")


def characteristics(known: Known) -> Answer:
    """What is known of the patients."""
    columns = ", ".join(known.predictions.columns)
    return partly(f"The data states {columns}; see the subgroups.") if columns else author(known)


def ensemble(known: Known) -> Answer:
    """One network."""
    return filled("One network; no ensemble.")


def robustness(known: Known) -> Answer:
    """Other conditions."""
    return partly(f"Subgroups only. {by_subgroup(known).text}") if known.parts else author(known)


def _unread(known: Known) -> str:
    total = known.report.films + known.unread
    if not known.unread:
        return f"All {total:,} films could be read."
    return f"{known.unread} of {total:,} films could not be read and are in no figure; report.json lists them."


def _phase(name: str, settings: dict[str, object]) -> str:
    shown = ", ".join(
        f"{key} {settings[key]}" for key in ("epochs", "batch", "lr", "schedule", "blocks") if key in settings
    )
    return f"{name}: {shown}"
