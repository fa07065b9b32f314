// Answers each line of stdin with one of stdout: what tests/ports/test_ports.py asks every port.
import lucency.Calibration
import lucency.Film
import lucency.Preprocess
import lucency.Reader
import lucency.Rules
import lucency.app.assetFilm
import lucency.bands
import lucency.calibrated
import lucency.colour
import lucency.contour
import lucency.contractFailures
import lucency.failed
import lucency.goldenFailures
import lucency.gray
import lucency.gray8
import lucency.prepare
import lucency.reasons
import lucency.rgb
import lucency.sightDoubts
import lucency.upright
import lucency.usual
import lucency.verdict
import lucency.window
import android.content.res.AssetManager
import java.io.File
import org.json.JSONObject

const val FILTER = "bilinear-antialiased"

fun hex(bytes: ByteArray): String = bytes.joinToString("") { String.format("%02x", it) }

fun numbers(digits: String, each: Int): IntArray =
    IntArray(digits.length / each) { Integer.parseInt(digits.substring(it * each, (it + 1) * each), 16) }

fun bytes(digits: String): ByteArray = numbers(digits, 2).let { all -> ByteArray(all.size) { all[it].toByte() } }

fun argb(rgba: IntArray): IntArray =
    IntArray(rgba.size / 4) {
        (rgba[4 * it + 3] shl 24) or (rgba[4 * it] shl 16) or (rgba[4 * it + 1] shl 8) or rgba[4 * it + 2]
    }

fun prepared(words: List<String>): String {
    if (words[0] == "24") return hex(prepare(inColour(words[1], words[2], words[5]), Preprocess(2, words[3].toInt(), words[4], FILTER, 3)))
    val pixels = if (words[0] == "16") gray8(numbers(words[5], 4)) else bytes(words[5])
    val film = Film(pixels, words[1].toInt(), words[2].toInt())
    return hex(prepare(film, Preprocess(1, words[3].toInt(), words[4], FILTER)))
}

/** Six digits a pixel: red, green, blue. */
fun inColour(width: String, height: String, digits: String): Film {
    val argb = IntArray(digits.length / 6) { digits.substring(6 * it, 6 * it + 6).toInt(16) }
    return Film(gray(argb), width.toInt(), height.toInt(), rgb(argb))
}

fun colours(logit: String): String {
    val argb = colour(logit.toFloat())
    return listOf(16, 8, 0, 24).map { (argb ushr it) and 255 }.joinToString(" ")
}

fun seen(words: List<String>): String {
    val window = window(words[0].toInt(), words[1].toInt(), words[2])
    return listOf(window.left, window.top, window.width, window.height).joinToString(" ")
}

fun floats(list: String): FloatArray =
    if (list == "-") FloatArray(0) else list.split(",").map { it.toFloat() }.toFloatArray()

fun called(words: List<String>): String {
    val rules = Rules(words[0], words[2].split(","), floats(words[1]), floats(words[3]), floats(words[4]))
    return verdict(rules, floats(words[5]), floats(words[6])).ifEmpty { "none" }
}

fun refused(words: List<String>): String {
    val rules = Rules("binary", listOf("a", "b"), floatArrayOf(0.5f), FloatArray(0), floats(words[1]), words[0].split(","))
    return failed(rules, floats(words[2])).joinToString(",").ifEmpty { "none" }
}

/** "name=1,2;name=3" to the lists of a calibration. */
fun lists(words: String): Map<String, DoubleArray> =
    words.split(";").filter { it != "-" }.map { it.split("=") }.associate { (name, values) ->
        name to values.split(",").map { it.toDouble() }.toDoubleArray()
    }

fun chances(words: List<String>): String =
    calibrated(words[0], Calibration(words[1], lists(words[2])), floats(words[3])).joinToString(" ")

fun call(words: List<String>): String {
    val probabilities = calibrated("multiclass", Calibration(words[0], lists(words[1])), floats(words[5]))
    val costs = if (words[2] == "-") emptyList() else words[2].split(";").map { row -> floats(row).map { it.toDouble() }.toDoubleArray() }
    val refer = floats(words[3]).map { it.toDouble() }.toDoubleArray()
    val rules = Rules("multiclass", listOf("mel", "nv", "bkl"), floatArrayOf(0.5f), floats(words[4]), FloatArray(0), costs = costs, refer = refer)
    val why = reasons(rules, 1, Film(byteArrayOf(0, 1), 2, 1), probabilities, FloatArray(0)).joinToString(",").ifEmpty { "-" }
    return "${lucency.called(rules, probabilities)} ${verdict(rules, probabilities, FloatArray(0))} $why"
}

fun version(words: List<String>): String =
    try {
        Preprocess(words[0].toInt(), 1, "pad", words[1])
        "taken"
    } catch (refusal: IllegalArgumentException) {
        "refused"
    }

fun json(path: String) = JSONObject(File(path).readText())

/** Over the assets' folder `bundle`, by the network itself. */
fun <T> reading(what: (Reader) -> T): T = Reader(AssetManager(), "bundle", gpu = true).use(what)

fun contract(path: String): String {
    val failures = reading { contractFailures(json(path), it) }
    return failures.joinToString("; ").ifEmpty { "${json(path).getJSONArray("films").length()} kept" }
}

/** The check of the app's first start, and which processor it ran on. */
fun golden(path: String): String = reading { reader ->
    val failures = goldenFailures(reader, json(path)) { assetFilm(AssetManager(), "bundle/$it") }
    "${reader.engine.accelerator}: ${reader.engine.fallback}; " + failures.joinToString("; ").ifEmpty { "kept" }
}

fun scale(): String = reading { bands(it.rules) }.joinToString(" ") { "${it.verdict} ${it.from} ${it.to}" }

fun turned(words: List<String>): String =
    upright(Film(bytes(words[3]), words[1].toInt(), words[2].toInt()), words[0].toInt()).let { hex(it.pixels) + " ${it.width}" }

/** Segments of a contour, sorted, their ends too. */
fun segments(words: List<String>): String =
    contour(floats(words[2]), words[0].toInt(), words[1].toInt(), words[3].toFloat())
        .map { (a, b, c, d) -> listOf(a to b, c to d).sortedWith(compareBy({ it.first }, { it.second })).flatMap { it.toList() } }
        .map { it.joinToString(",") { "%.3f".format(it) } }.sorted().joinToString(" ").ifEmpty { "none" }

fun answer(verb: String, words: List<String>): String = when (verb) {
    "prepare" -> prepared(words)
    "gray" -> hex(gray(argb(numbers(words[0], 2))))
    "colour" -> colours(words[0])
    "window" -> seen(words)
    "gate" -> refused(words)
    "verdict" -> called(words)
    "calibrated" -> chances(words)
    "call" -> call(words)
    "contract" -> contract(words[0])
    "golden" -> golden(words[0])
    "bands" -> scale()
    "upright" -> turned(words)
    "contour" -> segments(words)
    "sight" -> sightDoubts(words[0], inColour(words[1], words[2], words[3])).joinToString(",").ifEmpty { "none" }
    "usual" -> usual(Film(bytes(words[2]), words[0].toInt(), words[1].toInt())).toString()
    else -> version(words)
}

fun main() {
    val answers = generateSequence(::readLine).filter { it.isNotEmpty() }.map { it.split(" ") }
    println(answers.map { answer(it[0], it.drop(1)) }.joinToString("\n"))
}
