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
    private val labels = card.getJSONArray("labels").let { names -> List(names.length()) { names.getString(it) } }
    private val threshold = card.getJSONObject("operating_point").getDouble("threshold").toFloat()
    private val model = CompiledModel.create(
        assets,
        "$folder/${card.getJSONObject("model").getString("file")}",
        CompiledModel.Options(Accelerator.CPU).apply { cpuOptions = CompiledModel.CpuOptions(threads) },
    )
    private val input = model.createInputBuffer("film")
    private val outputs = listOf("logit", "probability", "map").associateWith { model.createOutputBuffer(it) }

    /** How a film becomes the network's square. */
    val preprocess = card.getJSONObject("preprocess").let {
        Preprocess(it.getInt("version"), it.getInt("side"), it.getString("fit"), it.getString("filter"))
    }

    fun read(film: Film): Reading {
        val square = prepare(film, preprocess)
        input.writeFloat(FloatArray(square.size) { (square[it].toInt() and 255).toFloat() })
        model.run(mapOf("film" to input), outputs)
        val (logits, probabilities, map) = outputs.values.map { it.readFloat() }
        return Reading(verdict(card.getString("task"), labels, threshold, probabilities), probabilities, logits, map)
    }

    override fun close() {
        input.close()
        outputs.values.forEach { it.close() }
        model.close()
    }
}
