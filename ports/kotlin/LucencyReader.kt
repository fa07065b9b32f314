// One film through a bundle's network on Android, by LiteRT: implementation("com.google.ai.edge.litert:litert:2.3.0").
// Compiled in tests/ports/ against the published signatures of what it calls; needs a device to run.

package lucency

import android.content.res.AssetManager
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONObject

/** What a reader says of one film. The map holds rows × columns × findings, signed, in logits. */
class Reading(val verdict: String, val probabilities: FloatArray, val logits: FloatArray, val map: FloatArray)

/** A bundle's card.json and model file, put into the app's assets under `folder`. One film at a time. */
class Reader(assets: AssetManager, folder: String, threads: Int = 1) : AutoCloseable {
    private val card = JSONObject(assets.open("$folder/card.json").bufferedReader().use { it.readText() })
    private val rules = rules(card)
    private val calibration = calibration(card.getJSONObject("calibration"))
    private val model = CompiledModel.create(
        assets,
        "$folder/${card.getJSONObject("model").getString("file")}",
        CompiledModel.Options(Accelerator.CPU).apply { cpuOptions = CompiledModel.CpuOptions(threads) },
    )
    private val names = listOf("logit", "probability", "map", "doubt").filter { it != "doubt" || rules.limits.isNotEmpty() }
    private val input = model.createInputBuffer("film")
    private val outputs = names.associateWith { model.createOutputBuffer(it) }

    /** How a film becomes the network's square. */
    val preprocess = card.getJSONObject("preprocess").let {
        // Older cards say side and fit.
        val size = if (it.has("image_size")) "image_size" else "side"
        val mode = if (it.has("resize_mode")) "resize_mode" else "fit"
        Preprocess(it.getInt("version"), it.getInt(size), it.getString(mode), it.getString("filter"))
    }

    init {
        require(card.getInt("schema_version") == 1) { "this port reads cards of schema 1, came another" }
    }

    fun read(film: Film): Reading {
        val square = prepare(film, preprocess)
        input.writeFloat(FloatArray(square.size) { (square[it].toInt() and 255).toFloat() })
        model.run(mapOf("film" to input), outputs)
        val answers = outputs.mapValues { it.value.readFloat() }
        // Compared with a limit or a threshold, NaN would pass for "no doubt".
        check(answers.values.all { part -> part.all { it.isFinite() } }) { "expected numbers of the network, came NaN" }
        val probabilities = calibrated(rules.task, calibration, answers.getValue("logit"))
        val called = verdict(rules, probabilities, answers["doubt"] ?: FloatArray(0))
        val said = if (usual(film)) called else "uncertain"
        return Reading(said, probabilities, answers.getValue("logit"), answers.getValue("map"))
    }

    override fun close() {
        input.close()
        outputs.values.forEach { it.close() }
        model.close()
    }
}

private fun calibration(stated: JSONObject): Calibration {
    val parameters = stated.getJSONObject("parameters")
    val lists = parameters.keys().asSequence().associateWith { name ->
        parameters.getJSONArray(name).let { list -> DoubleArray(list.length()) { list.getDouble(it) } }
    }
    return Calibration(stated.getString("method"), lists)
}

private fun rules(card: JSONObject): Rules {
    val labels = card.getJSONArray("labels")
    val abstention = card.getJSONObject("abstention")
    val least = abstention.getJSONArray("least")
    val abstains = abstention.getString("method") != "none"
    val checks = card.getJSONObject("gate").getJSONArray("checks")
    return Rules(
        card.getString("task"),
        List(labels.length()) { labels.getString(it) },
        card.getJSONObject("operating_point").getDouble("threshold").toFloat(),
        FloatArray(if (abstains) least.length() else 0) { least.getDouble(it).toFloat() },
        FloatArray(checks.length()) { checks.getJSONObject(it).getDouble("limit").toFloat() },
    )
}
