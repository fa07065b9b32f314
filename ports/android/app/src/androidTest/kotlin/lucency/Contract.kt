// Holds this port to ports/contract/contract.json, network and all.

package lucency

import kotlin.io.encoding.Base64
import org.json.JSONArray
import org.json.JSONObject

/** What of the contract is not kept, "film: part" each; empty where all is. */
fun contractFailures(contract: JSONObject, reader: Reader): List<String> {
    val films = contract.getJSONArray("films")
    return (0 until films.length()).map { films.getJSONObject(it) }.flatMap { stated ->
        broken(contract, stated, reader).map { "${stated.getString("name")}: $it" }
    }
}

private fun broken(contract: JSONObject, stated: JSONObject, reader: Reader): List<String> {
    val colour = if (stated.has("colour")) Base64.decode(stated.getString("colour")) else null
    val film = Film(Base64.decode(stated.getString("pixels")), stated.getInt("width"), stated.getInt("height"), colour)
    val reading = reader.read(film)
    val map = contract.getJSONObject("map")
    val box = strongest(reading.map)?.let { listOf(it.left, it.top, it.right, it.bottom) }
    val kept = mapOf(
        "square" to prepare(film, reader.preprocess).contentEquals(Base64.decode(stated.getString("square"))),
        "map" to (reading.map.rows == map.getInt("rows") && reading.map.columns == map.getInt("columns")),
        "verdict" to (reading.verdict == stated.getString("verdict")),
        "called" to (reading.called == stated.getString("called")),
        "doubts" to (reading.doubts == list(stated.getJSONArray("doubts")) { getString(it) }),
        "withheld" to (reading.withheld == stated.getBoolean("withheld")),
        "box" to (box == if (stated.isNull("box")) null else list(stated.getJSONArray("box")) { getInt(it) }),
    )
    val outputs = stated.getJSONObject("outputs")
    val numbers = outputs.keys().asSequence().associateWith { name -> list(outputs.getJSONArray(name)) { getDouble(it) } }
    return kept.filterValues { !it }.keys.toList() + differing(reading.outputs, contract.getJSONObject("tolerance"), numbers)
}

private fun <T> list(array: JSONArray, one: JSONArray.(Int) -> T): List<T> = List(array.length()) { array.one(it) }
