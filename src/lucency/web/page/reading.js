// From the network's outputs to a reading, as lucency.reader.outputs and lucency.reader.input_checks have it.

import { cameraDoubts } from "./camera_doubts.js";
import { named, say } from "./i18n.js";
import { blank, called, chosen, failed, finding, held, ranked, refers, settings, verdict } from "./lucency.js";
import { MODALITIES } from "./modality.js";
import { colouredShare, quantile, SIGHTS } from "./sight.js";

export const logit = (share) => Math.log(share / (1 - share));
const words = (text) => new Set(text.split(" "));
/** What people and machines write into a header, as in lucency.reader.input_checks. Any other word decides nothing. */
const FRONTAL = words(
  "AP PA PAAP APPA POSTEROANTERIOR ANTEROPOSTERIOR ANTERIOR POSTERIOR FRONTAL FRONTALE FACE FRENTE " +
  "FRENTAL DORSOVENTRAL VENTRODORSAL PREDOZADNI 正位 后前位 後前位 正面",
);
const OTHER_VIEWS = words(
  "LL RL LLD RLD LLO RLO LAT LATERAL LATERALE LATERALIS LATERALES LATERAAL SEITLICH SEITE PROFIL " +
  "PROFILE PERFIL BOCZNE OBLIQUE OBL OBLICUA OBLIQUA SCHRAG AX AXIAL TANGENTIAL CROSSTABLE 侧位 側位 側面 斜位",
);
const CHEST = words(
  "CHEST THORAX TORAX TORACE TORAKS THORACE LUNG LUNGS LUNGE LUNGEN LUNGOR RIBCAGE CXR POUMON POUMONS " +
  "PULMON PULMONES PULMAO PULMOES POLMONE POLMONI BRUSTKORB BRUSTRAUM PECHO PEITO BORSTKAS BRYSTKASSE " +
  "BROSTKORG KLATKA HRUDNIK MELLKAS AKCIGER 胸部 胸 흉부 ГРУДНАЯ ЛЕГКИЕ",
);
const OTHER_PARTS = words(
  "ABDOMEN ABDOMINAL ABD BAUCH ANKLE ARM ARMS FOREARM HUMERUS BREAST MAMMA MAMA CSPINE TSPINE LSPINE " +
  "SPINE COLUMNA COLUNA COLONNE RACHIS WIRBELSAULE BWS HWS LWS ELBOW EXTREMITY FOOT FEET FUSS PIED HAND " +
  "HANDS MANO MAIN FINGER TOE HEAD KOPF SKULL SCHADEL CRANIO CRANEO SINUS HIP HUFTE CADERA ANCA KNEE " +
  "KNIE RODILLA GENOU GINOCCHIO JOELHO LEG FEMUR TIBIA NECK HALS PELVIS BECKEN BASSIN BACINO SHOULDER " +
  "SCHULTER HOMBRO CLAVICLE SCAPULA WRIST JAW WHOLEBODY",
);
const KNOWN_MODALITIES = words(
  "CR DX RG OT SC DR XR CT MG MR NM PT RF US XA BMD BDUS DOC DMS ECG EPS ES GM IO IVUS IVOCT KER LEN OP OPM OPT OPV PX " +
  "RTIMAGE SM SEG SR PR TG XC",
);
const NAMED = 5; // Classes that are named where more than one remains possible; more are counted.
const NARROW = 0.5, WIDE = 2, LEVELS = 32, COLOURED = 0.1, UNCOLOURED = 0.01;
const NO_SUCH_FILM = words("layout blank levels modality view part colour");
/** Codes that mean that this is no film of the kind learned from: it gets no probability. */
const BELOW = 0.125, ABOVE = 0.25, SINGLE = 2, NEAR = 0.75, NEAR_GATE = 0.1;
/** Logits, as calibrated, that a photograph is withheld below a limit and above it (a camera's noise and a screen's pixels look
 *  like evidence), so many times as far where few pictures are averaged, and that the film's own verdict is doubted on either
 *  side of it; shares of a limit of the gate's. Chosen on other scenes than docs/web.md tells of. */
export const CALMED = 4;
/** Pictures of a film whose mean is calm enough to vote on its verdict: noise in one alone lifts the logit by up to one. */
const PER_YEAR = { D: 365.25, W: 52.18, M: 12, Y: 1, "": 1 };

/**
 * Reasons to doubt a reading that the network does not give; `code` is the Python reader's.
 * @param {boolean} refused whether the card's gate does not take it for its kind
 * @returns {{code: string, words: string, refuses: boolean}[]}
 */
export function inputDoubts(film, card, refused = false) {
  const { width, height } = film, { imageSize } = settings(card.preprocess), shape = width / height;
  const kind = MODALITIES[card.modality ?? "chest_xray"];
  const doubts = [], add = (refuses, name, values, code = name.slice(6)) =>
    doubts.push({ code, words: say(name, values), refuses, explains: ["doubt_blank", "doubt_levels"].includes(name) });
  if (Math.min(width, height) < imageSize) add(false, "doubt_small", { width, height, side: imageSize });
  if (shape < NARROW || shape > WIDE) add(true, "doubt_shape", { width, height });
  if (blank(film)) add(true, "doubt_blank");
  const levels = refused && !blank(film) ? grayLevels(film) : 256;
  if (levels < LEVELS) add(true, "doubt_levels", { levels });
  if (film.facts.damage) add(true, "doubt_damage", { sign: say(`damage_${film.facts.damage}`) });
  const modality = denied(film.facts.modality, words(kind.dicom), KNOWN_MODALITIES);
  const view = kind.lungs && denied(film.facts.view, FRONTAL, OTHER_VIEWS);
  const part = kind.lungs && denied(film.facts.body_part, CHEST, OTHER_PARTS);
  if (modality) add(true, "doubt_modality", { modality });
  if (view) add(true, "doubt_view", { view });
  if (part) add(true, "doubt_part", { part });
  const ages = card.population?.ages;
  if (ages && otherAge(film.facts.age, ages)) add(true, "doubt_age", { low: ages[0], high: ages[1] });
  if (card.modality === "ct_slice" && film.facts.rescale) add(true, "doubt_rescale");
  const coloured = colouredShare(film);
  if (kind.channels === 1 && coloured > COLOURED) add(true, "doubt_colour");
  if (kind.channels === 3 && coloured < UNCOLOURED) add(true, "doubt_uncoloured", {}, "colour");
  if (kind.channels === 3 && film.facts.profile) add(false, "doubt_profile");
  if (kind.sight && !blank(film) && !SIGHTS[kind.sight](film)) add(true, `doubt_${kind.sight}`);
  return doubts;
}

/** Whether an age as DICOM writes it (034Y; PS3.5, 6.2) lies outside; it is never quoted: it is the patient's. */
function otherAge(stated = "", [low, high]) {
  const [, count, unit] = /^0*(\d+)([DWMY]?)$/.exec(stated.trim().toUpperCase()) ?? [];
  const years = Math.floor(count / PER_YEAR[unit]);
  return years < low || years > high; // NaN, where none is stated, is neither
}

/** Between the half-percentiles of a film, in levels of 256. */
function grayLevels({ pixels, wide, width, height }) {
  const values = wide ?? pixels, step = Math.max(1, Math.floor(Math.sqrt((width * height) / 65536))), some = [];
  for (let y = 0; y < height; y += step) for (let x = 0; x < width; x += step) some.push(values[y * width + x]);
  const values16 = Uint16Array.from(some);
  return Math.round(((quantile(values16, 0.995) - quantile(values16, 0.005)) * 255) / (wide ? 65535 : 255)) + 1;
}

/** A film through the network. @param {object} engine of `start` */
export async function readFilm(engine, film) {
  const { card } = engine, outputs = await engine.read(film);
  const doubts = inputDoubts(film, card, failed(card, outputs.doubts).length > 0);
  return readingOf(card, outputs, film.photograph ? [...cameraDoubts(film), ...closeDoubts(card, outputs), ...doubts] : doubts);
}

/**
 * The doubt of a photograph that lies so near a limit, of the probability's or of the gate's, that the film itself may be called otherwise.
 * @param {number} pictures of the film that were averaged @returns what `inputDoubts` does; `refuses` where it is nearest
 */
export function closeDoubts(card, { probabilities: [probability], doubts }, pictures = 1) {
  const away = zones(card).slice(1).map(({ from }) => logit(probability) - logit(from)), wide = pictures < CALMED ? SINGLE : 1;
  const passing = card.gate.checks.some(({ limit }, i) => Math.abs(doubts[i] - limit) < NEAR_GATE * Math.abs(limit));
  if (!passing && !away.some((far) => Math.abs(far) < NEAR)) return [];
  const refuses = away.some((far) => far > -BELOW * wide && far < ABOVE * wide);
  return [{ code: "close", words: say("doubt_close"), refuses, explains: false }];
}

/** The words of `text` that deny; none where others confirm. Only known words are quoted: people type names anywhere. */
function denied(text = "", confirming, denying) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toUpperCase().replace(/[.-]/g, "").replace(/_/g, " ");
  const found = plain.match(/[\p{L}\p{N}]+/gu) ?? [];
  return found.some((word) => confirming.has(word)) ? "" : found.filter((word) => denying.has(word)).join(" ");
}

/**
 * @param {object} card the bundle's
 * @param {object} outputs of `ask`
 * @param {{words: string, refuses: boolean}[]} doubts of `inputDoubts`
 * @returns {{verdict, called, leading, finding, index, probability, probabilities, logits, map, rows, columns, warnings, doubts, held}}
 *   withheld: this is no film of the kind that the reader learned from, and has no probability and no map;
 *   probability, map (rows × columns) and index are those of `finding`; doubts are the warnings' codes; held: the labels
 *   of its prediction set, where that is why it is `uncertain`; leading: the labels' numbers by rank; about: the same of another label
 */
export function readingOf(card, outputs, doubts) {
  const { probabilities, logits, rows, columns } = outputs;
  const index = chosen(card, probabilities);
  const reasons = failed(card, outputs.doubts), accepted = verdict(card, probabilities, outputs.doubts);
  const shown = doubts.some(({ explains }) => explains) ? [] : reasons; // a blank film is like no chest film, of course
  const warnings = [...doubts.map(({ words }) => words), ...shown.map((name) => say(`doubt_${name}`))];
  const codes = [...doubts.map(({ code }) => code), ...shown];
  if (accepted === "uncertain" && !reasons.length) {
    const why = undecided(card, probabilities);
    warnings.push(why.words);
    codes.push(why.code);
  }
  const withheld = codes.some((code) => NO_SUCH_FILM.has(code));
  const about = (index) => ({
    finding: card.task === "binary" ? card.labels[1] : card.labels[index],
    index, probability: probabilities[index], map: withheld ? new Float32Array(rows * columns) : finding(outputs, index),
  });
  return {
    verdict: doubts.some(({ refuses }) => refuses) ? "uncertain" : accepted, withheld, about,
    called: called(card, probabilities), leading: ranked(card, probabilities), probabilities, logits, rows, columns, warnings, doubts: codes,
    held: doubts.some(({ refuses }) => refuses) || !codes.includes("several") ? [] : held(card, probabilities), ...about(index),
  };
}

/** Why no single label stands, though the gate takes the film. */
function undecided(card, probabilities) {
  if (refers(card, probabilities)) return { code: "costs", words: say("doubt_costs") };
  const names = held(card, probabilities).map(named);
  if (card.task === "multiclass") return undecidedClasses(card, names);
  if (names.length) return { code: "several", words: say("doubt_several", { labels: names.join(say("or")) }) };
  return { code: "neither", words: say("doubt_neither", { labels: card.labels.map(named).join(say("and")) }) };
}

/** `undecided` of several classes, of which the evidence leaves those of `names`. */
function undecidedClasses(card, names) {
  if (!names.length) return { code: "neither", words: say("doubt_no_class") };
  const words = say("doubt_classes", { count: names.length, all: card.labels.length });
  return { code: "several", words: names.length <= NAMED ? `${words}: ${names.join(", ")}` : words };
}

/**
 * What each stretch of the scale from 0 to 1 is called, by the card's threshold and abstention.
 * @returns {{from: number, to: number, verdict: string}[]} empty where more than one probability decides
 */
export function zones(card) {
  if (card.task !== "binary") return [];
  const { method, least } = card.abstention, open = { ...card, gate: { checks: [] } };
  const cuts = [card.operating_point.threshold, ...(method === "none" ? [] : [1 - least[0], least[1]])];
  const ends = [0, ...cuts.filter((cut) => cut > 0 && cut < 1).sort((a, b) => a - b), 1], found = [];
  ends.slice(1).forEach((to, i) => {
    const said = verdict(open, Float32Array.of((ends[i] + to) / 2));
    if (found.at(-1)?.verdict === said) found.at(-1).to = to;
    else found.push({ from: ends[i], to, verdict: said });
  });
  return found;
}

/** By which names several labels state that there is no finding. */
const CLEAR = words("normal none no_finding nothing healthy negative non_covid");

/** Whether a verdict says that nothing was found. */
export function isClear({ task, labels }, said) {
  if (task === "multilabel") return said === "";
  return task === "binary" ? said === labels[0] : CLEAR.has(said.toLowerCase().replace(/[ -]/g, "_"));
}

/** Most urgent first: what is called a finding, then what is uncertain, then the rest, then what cannot be read. */
export function urgency(card, reading) {
  if (!reading) return -1;
  const { verdict: said, logits, index } = reading, rank = 0.5 + Math.atan(logits[index]) / Math.PI;
  if (said === "uncertain") return 1 + rank; // by the logit: probabilities near 0 and 1 are all alike
  return isClear(card, said) ? rank : 2 + rank;
}
