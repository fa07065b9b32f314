// One film through a bundle's network on Android, by LiteRT (com.google.ai.edge.litert:litert).

package lucency

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import org.json.JSONArray
import org.json.JSONObject

/** What a reader says of one film. `doubts` are codes (ports/contract/README.md); `map` is of the
 * label called; for a multilabel task of the most probable. */
class Reading(
    val verdict: String,
    val called: String,
    val probabilities: FloatArray,
    val logits: FloatArray,
    val map: EvidenceMap,
    val doubts: List<String>,
    val outputs: Map<String, FloatArray>,
) {
    /** Whether neither probability nor map is to be shown. */
    val withheld: Boolean = doubts.any { it in NO_SUCH_FILM }

    /** The map of another label, by its number. */
    fun mapOf(label: Int): EvidenceMap = evidence(outputs.getValue("map"), logits.size, label)
}

/** The network on a processor. Asked for GPU and CPU together, LiteRT falls back without a word; so each is asked alone. */
class Engine(val model: CompiledModel, val accelerator: Accelerator, val fallback: String?)

/**
 * Opens the network on the GPU if asked, else or where that fails on the CPU; `fallback` says why it is not the GPU.
 * The GPU accelerator is an artefact of its own, com.google.ai.edge.litert:litert-gpu; without it this always falls back.
 */
fun openEngine(assets: AssetManager, file: String, gpu: Boolean, threads: Int): Engine {
    var why: String? = null
    if (gpu) {
        try {
            // In half precision, GPUs' default, cells of the map lose their last digits.
            val full = CompiledModel.GpuOptions(precision = CompiledModel.GpuOptions.Precision.FP32)
            val options = CompiledModel.Options(Accelerator.GPU).apply { gpuOptions = full }
            return Engine(CompiledModel.create(assets, file, options), Accelerator.GPU, null)
        } catch (error: LiteRtException) {
            why = error.message ?: "no GPU accelerator"
        }
    }
    val options = CompiledModel.Options(Accelerator.CPU).apply { cpuOptions = CompiledModel.CpuOptions(threads) }
    return Engine(CompiledModel.create(assets, file, options), Accelerator.CPU, why)
}

/** A bundle's card.json and model file, in the app's assets under `folder`. One film at a time. */
class Reader(assets: AssetManager, folder: String, gpu: Boolean = false, threads: Int = 1) : AutoCloseable {
    val card = JSONObject(assets.open("$folder/card.json").bufferedReader().use { it.readText() })
    val rules = rules(card)
    private val calibration = calibration(card.getJSONObject("calibration"))

    init {
        require(card.getInt("schema_version") == 1) { "this port reads cards of schema 1, came another" }
    }

    val engine = openEngine(assets, "$folder/${card.getJSONObject("model").getString("file")}", gpu, threads)
    private val names = listOf("logit", "probability", "map") + if (rules.limits.isEmpty()) emptyList() else listOf("doubt")
    private val input = engine.model.createInputBuffer("film")
    private val outputs = names.associateWith { engine.model.createOutputBuffer(it) }

    /** How a film becomes the network's square. */
    val preprocess = card.getJSONObject("preprocess").let {
        // Older cards say side and fit.
        val size = if (it.has("image_size")) "image_size" else "side"
        val mode = if (it.has("resize_mode")) "resize_mode" else "fit"
        val channels = if (it.has("channels")) it.getInt("channels") else 1
        Preprocess(it.getInt("version"), it.getInt(size), it.getString(mode), it.getString("filter"), channels)
    }

    fun read(film: Film): Reading {
        val square = prepare(film, preprocess)
        input.writeFloat(FloatArray(square.size) { (square[it].toInt() and 255).toFloat() })
        engine.model.run(mapOf("film" to input), outputs)
        val answers = outputs.mapValues { it.value.readFloat() }
        // Compared with a limit or a threshold, NaN would pass for "no doubt".
        check(answers.values.all { part -> part.all { it.isFinite() } }) { "expected numbers of the network, came NaN" }
        val logits = answers.getValue("logit")
        // Not the output `probability`: a bundle may have been calibrated again after its export.
        val probabilities = calibrated(rules.task, calibration, logits)
        val doubts = answers["doubt"] ?: FloatArray(0)
        val why = reasons(rules, preprocess.imageSize, film, probabilities, doubts)
        val said = if (why.any { it in REFUSING }) "uncertain" else verdict(rules, probabilities, doubts)
        val map = evidence(answers.getValue("map"), logits.size, chosen(rules, probabilities))
        return Reading(said, called(rules, probabilities), probabilities, logits, map, why, answers)
    }

    override fun close() {
        input.close()
        outputs.values.forEach { it.close() }
        engine.model.close()
    }
}

/** One finding's cells of a map of rows × columns × findings; as the square is one, rows and columns are as many. */
private fun evidence(map: FloatArray, findings: Int, finding: Int): EvidenceMap {
    val side = Math.round(Math.sqrt(map.size.toDouble() / findings)).toInt()
    check(side * side * findings == map.size) { "expected a square map, came ${map.size} numbers of $findings findings" }
    return EvidenceMap(FloatArray(side * side) { map[it * findings + finding] }, side, side)
}

private fun numbers(list: JSONArray): DoubleArray = DoubleArray(list.length()) { list.getDouble(it) }

private fun calibration(stated: JSONObject): Calibration {
    val parameters = stated.getJSONObject("parameters")
    val lists = parameters.keys().asSequence().associateWith { numbers(parameters.getJSONArray(it)) }
    return Calibration(stated.getString("method"), lists)
}

private fun rules(card: JSONObject): Rules {
    val labels = card.getJSONArray("labels")
    val abstention = card.getJSONObject("abstention")
    val abstains = abstention.getString("method") != "none"
    val stated = card.getJSONObject("gate").getJSONArray("checks")
    val checks = List(stated.length()) { stated.getJSONObject(it) }
    val point = card.getJSONObject("operating_point")
    val thresholds = point.optJSONArray("threshold")?.let { numbers(it) } ?: doubleArrayOf(point.getDouble("threshold"))
    val costs = if (card.has("costs")) card.getJSONObject("costs") else null
    return Rules(
        card.getString("task"),
        List(labels.length()) { labels.getString(it) },
        thresholds.map { it.toFloat() }.toFloatArray(),
        if (abstains) numbers(abstention.getJSONArray("least")).map { it.toFloat() }.toFloatArray() else FloatArray(0),
        FloatArray(checks.size) { checks[it].getDouble("limit").toFloat() },
        checks.map { it.getString("name") },
        if (card.has("modality")) card.getString("modality") else "chest_xray",
        costs?.getJSONArray("called")?.let { rows -> List(rows.length()) { numbers(rows.getJSONArray(it)) } } ?: emptyList(),
        if (costs != null && costs.has("refer")) numbers(costs.getJSONArray("refer")) else DoubleArray(0),
    )
}
