// Does this device give the bundle's golden outputs? Asked at first start: a device that differs says so and reads nothing.

package lucency

import org.json.JSONArray
import org.json.JSONObject

/**
 * What differs from golden/golden.json, one line each; empty where nothing does.
 *
 * @param decode the name of a PNG in the bundle to its film, by the decoder that the app uses
 */
fun goldenFailures(reader: Reader, golden: JSONObject, decode: (String) -> Film): List<String> {
    val tolerance = golden.getJSONObject("tolerance")
    val films = golden.getJSONArray("films")
    return (0 until films.length()).map { films.getJSONObject(it) }.flatMap { stated ->
        val name = stated.getString("film")
        val film = decode(name)
        val square = prepare(film, reader.preprocess)
        val expectedSquare = decode(stated.getString("square")).let { if (reader.preprocess.channels == 3) it.colour else it.pixels }
        if (!square.contentEquals(expectedSquare)) return@flatMap listOf("$name: square")
        val expected = OUTPUTS.mapValues { numbers(stated.getJSONArray(it.value)) }.toMutableMap()
        val findings = expected.getValue("logit").size
        // Stated finding by finding; in the network's file the findings of a cell lie together.
        expected["map"] = expected.getValue("map").let { all -> List(all.size) { all[it % findings * (all.size / findings) + it / findings] } }
        differing(reader.read(film).outputs, tolerance, expected).map { "$name: $it" }
    }
}

/** Names of the network's outputs to those in golden.json. */
private val OUTPUTS = mapOf("logit" to "logits", "map" to "maps", "doubt" to "doubts")

/** The outputs that are further from the stated ones than `tolerance`, with how far. */
fun differing(outputs: Map<String, FloatArray>, tolerance: JSONObject, stated: Map<String, List<Double>>): List<String> =
    stated.filterKeys { it in outputs }.mapNotNull { (name, expected) ->
        val found = outputs.getValue(name)
        val away = if (found.size == expected.size) expected.indices.maxOf { Math.abs(found[it] - expected[it]) } else 1e9
        if (away <= tolerance.getDouble(name)) null else "$name is off by $away"
    }

/** Every number of nested lists, in order. */
private fun numbers(list: JSONArray): List<Double> =
    (0 until list.length()).map { list.get(it) }.flatMap { if (it is JSONArray) numbers(it) else listOf((it as Number).toDouble()) }
