// From decoded pixels to the network's square, and from its answers to a reading: docs/preprocessing.md, step by step.
// Plain Kotlin, no dependency. tests/ports/ holds it to the golden vectors, byte for byte, and to
// ports/contract/.

package lucency

/** A film: rows from the top, bright = dense, a byte a pixel; `colour`: red, green and blue of each pixel, where it has them. */
class Film(val pixels: ByteArray, val width: Int, val height: Int, val colour: ByteArray? = null)

/** What card.json states under "preprocess". */
class Preprocess(version: Int, val imageSize: Int, val resizeMode: String, filter: String, val channels: Int = 1) {
    init {
        require(version == mapOf(1 to 1, 3 to 2)[channels] && filter == "bilinear-antialiased") {
            "expected preprocessing version 1 or 2 with bilinear-antialiased, came $version with $filter"
        }
    }
}

/** A part of a film, in its pixels; beyond the film where it was padded. */
class Window(val left: Int, val top: Int, val width: Int, val height: Int)

/** ARGB pixels, as Bitmap.getPixels gives them, to gray. */
fun gray(argb: IntArray): ByteArray = ByteArray(argb.size) {
    val red = (argb[it] shr 16) and 255
    val green = (argb[it] shr 8) and 255
    val blue = argb[it] and 255
    ((19595 * red + 38470 * green + 7471 * blue + 32768) shr 16).toByte()
}

/** ARGB pixels to red, green and blue, three bytes a pixel. */
fun rgb(argb: IntArray): ByteArray = ByteArray(3 * argb.size) { (argb[it / 3] shr (16 - 8 * (it % 3))).toByte() }

/** Red, green and blue of a film as three gray pictures; of a gray film itself. */
fun planes(film: Film): List<ByteArray> = List(3) { channel ->
    film.colour?.let { all -> ByteArray(film.pixels.size) { all[3 * it + channel] } } ?: film.pixels
}

/** 16 bits, 0 … 65535, to the nearest of 256 levels. */
fun gray8(wide: IntArray): ByteArray = ByteArray(wide.size) { ((wide[it] * 255 + 32767) / 65535).toByte() }

/** A film turned as EXIF tag 274 says: docs/preprocessing.md, section 2. Any other number: as stored. */
fun upright(film: Film, orientation: Int): Film {
    val swapped = orientation in 5..8
    val width = if (swapped) film.height else film.width
    val height = if (swapped) film.width else film.height
    val right = film.width - 1
    val bottom = film.height - 1
    fun from(x: Int, y: Int): Int = when (orientation) {
        2 -> film.width * y + right - x
        3 -> film.width * (bottom - y) + right - x
        4 -> film.width * (bottom - y) + x
        5 -> film.width * x + y
        6 -> film.width * (bottom - x) + y
        7 -> film.width * (bottom - x) + right - y
        8 -> film.width * x + right - y
        else -> film.width * y + x
    }
    val colour = film.colour?.let { all -> ByteArray(all.size) { all[3 * from(it / 3 % width, it / 3 / width) + it % 3] } }
    return Film(ByteArray(width * height) { film.pixels[from(it % width, it / width)] }, width, height, colour)
}

/** Film to the square of bytes that the network takes: of one channel, or red, green, blue of each pixel. */
fun prepare(film: Film, how: Preprocess): ByteArray {
    fun square(plane: ByteArray) = resized(fitted(Film(plane, film.width, film.height), how.resizeMode), how.imageSize).pixels
    if (how.channels == 1) return square(film.pixels)
    val squares = if (film.colour == null) square(film.pixels).let { listOf(it, it, it) } else planes(film).map(::square)
    return ByteArray(3 * how.imageSize * how.imageSize) { squares[it % 3][it / 3] }
}

/** Where the network's square lies on the film. */
fun window(width: Int, height: Int, resizeMode: String): Window {
    if (resizeMode == "stretch") return Window(0, 0, width, height)
    require(resizeMode == "crop" || resizeMode == "pad") { "expected resize_mode stretch, crop or pad, received $resizeMode" }
    val side = if (resizeMode == "crop") minOf(width, height) else maxOf(width, height)
    return Window((width - side) / 2, (height - side) / 2, side, side)
}

/** The part of a film, or the black square around it, that is then resized. */
fun fitted(film: Film, resizeMode: String): Film {
    val seen = window(film.width, film.height, resizeMode)
    if (seen.width == film.width && seen.height == film.height) return film
    val pixels = ByteArray(seen.width * seen.height)
    val left = maxOf(seen.left, 0)
    val right = minOf(seen.left + seen.width, film.width)
    for (y in maxOf(seen.top, 0) until minOf(seen.top + seen.height, film.height)) {
        val start = (y - seen.top) * seen.width + left - seen.left
        System.arraycopy(film.pixels, y * film.width + left, pixels, start, right - left)
    }
    return Film(pixels, seen.width, seen.height)
}

/** How Pillow's filters weigh a pixel at a distance from the centre, and how far they reach. */
class Filter(val reach: Double, val weight: (Double) -> Double)

private val TRIANGLE = Filter(1.0) { maxOf(1.0 - Math.abs(it), 0.0) }
val BOX = Filter(0.5) { if (it > -0.5 && it <= 0.5) 1.0 else 0.0 }

/** Antialiased bilinear, along the rows first, then along the columns. */
fun resized(film: Film, side: Int): Film = resized(film, side, TRIANGLE)

fun resized(film: Film, side: Int, filter: Filter): Film = pass(pass(film, side, filter), side, filter)

/** Every row to `side` pixels; rows become columns, so that a second pass does the other direction and turns back. */
private fun pass(film: Film, side: Int, filter: Filter): Film {
    val out = ByteArray(side * film.height)
    taps(film.width, side, filter).forEachIndexed { x, tap ->
        for (y in 0 until film.height) {
            val start = y * film.width + tap.first
            var sum = 2097152
            for (i in tap.weights.indices) sum += tap.weights[i] * (film.pixels[start + i].toInt() and 255)
            out[x * film.height + y] = (sum shr 22).coerceIn(0, 255).toByte()
        }
    }
    return Film(out, film.height, side)
}

/** An output pixel's first input pixel and the weights from there on, in 22 fractional bits. */
private class Tap(val first: Int, val weights: IntArray)

private fun taps(given: Int, side: Int, filter: Filter): List<Tap> {
    val scale = given.toDouble() / side
    val stretch = maxOf(scale, 1.0)
    val reach = filter.reach * stretch
    return List(side) { out ->
        val center = (out + 0.5) * scale
        val first = maxOf((center - reach + 0.5).toInt(), 0)
        val last = minOf((center + reach + 0.5).toInt(), given)
        val raw = DoubleArray(last - first) { filter.weight((first + it - center + 0.5) * (1.0 / stretch)) }
        var total = 0.0
        for (weight in raw) total += weight
        Tap(first, IntArray(raw.size) { (0.5 + raw[it] / total * 4194304.0).toInt() })
    }
}

/** What card.json states under "calibration"; each list has one number, or one a finding, but for the polyline. */
class Calibration(val method: String, val lists: Map<String, DoubleArray>)

/** Logits to the probabilities that the card's calibration makes of them: docs/bundle.md, section 3. */
fun calibrated(task: String, how: Calibration, logits: FloatArray): FloatArray {
    if (how.method == "isotonic") {
        val x = how.lists.getValue("logits")
        val y = how.lists.getValue("probabilities")
        return FloatArray(logits.size) { polyline(logits[it].toDouble(), x, y).toFloat() }
    }
    val dirichlet = how.method == "dirichlet"
    val scores = if (dirichlet) dirichlet(how, logits) else DoubleArray(logits.size) { score(how, it, logits[it].toDouble()) }
    if (task != "multiclass") return FloatArray(scores.size) { Math.exp(-softplus(-scores[it])).toFloat() }
    val spread = logSum(scores)
    return FloatArray(scores.size) { Math.exp(scores[it] - spread).toFloat() }
}

/** ln of the sum of the exponentials, without overflow. */
private fun logSum(scores: DoubleArray): Double {
    var largest = scores[0]
    for (value in scores) largest = maxOf(largest, value)
    var total = 0.0
    for (value in scores) total += Math.exp(value - largest)
    return largest + Math.log(total)
}

/** The calibrated logits of several classes: a matrix, row by row, on the log of the softmax. */
private fun dirichlet(how: Calibration, logits: FloatArray): DoubleArray {
    val matrix = how.lists.getValue("matrix")
    val offset = how.lists.getValue("offset")
    val spread = logSum(DoubleArray(logits.size) { logits[it].toDouble() })
    return DoubleArray(logits.size) { i ->
        var score = offset[i]
        for (j in logits.indices) score += matrix[i * logits.size + j] * (logits[j] - spread)
        score
    }
}

/** The calibrated logit of one finding. */
private fun score(how: Calibration, finding: Int, z: Double): Double {
    fun number(name: String): Double = how.lists.getValue(name).let { if (it.size > 1) it[finding] else it[0] }
    return when (how.method) {
        "none" -> z
        "temperature" -> z / number("temperature")
        "platt" -> number("slope") * z + number("offset")
        "beta" -> number("b") * softplus(z) - number("a") * softplus(-z) + number("c")
        else -> throw IllegalArgumentException("expected a calibration that this port knows, came ${how.method}")
    }
}

/** ln(1 + exp z) without overflow. */
private fun softplus(z: Double): Double = maxOf(z, 0.0) + Math.log1p(Math.exp(-Math.abs(z)))

private fun polyline(z: Double, x: DoubleArray, y: DoubleArray): Double {
    val above = x.indices.firstOrNull { x[it] > z } ?: return y[y.size - 1]
    if (above == 0) return y[0]
    return y[above - 1] + (z - x[above - 1]) / (x[above] - x[above - 1]) * (y[above] - y[above - 1])
}

/** Whether this can be a whole chest at all; where not, the verdict is `uncertain` whatever the network says. */
fun usual(film: Film): Boolean = chestShaped(film) && !blank(film)

private fun chestShaped(film: Film): Boolean = film.width.toDouble() / film.height in 0.5..2.0

private fun blank(film: Film): Boolean = film.pixels.all { it == film.pixels[0] }

/**
 * What of card.json decides the verdict; `thresholds` is one for all findings or one each, `least` is empty without abstention, `limits` and `checks` without a gate, `costs`
 * (a row for each true label, of what each call costs) and `refer` without costs of errors.
 */
class Rules(
    val task: String,
    val labels: List<String>,
    val thresholds: FloatArray,
    val least: FloatArray,
    val limits: FloatArray,
    val checks: List<String> = List(limits.size) { "check $it" },
    val modality: String = "chest_xray",
    val costs: List<DoubleArray> = emptyList(),
    val refer: DoubleArray = DoubleArray(0),
) {
    /** Whether this finding of several is called at its threshold. */
    fun calls(finding: Int, probability: Float): Boolean = probability >= thresholds[if (thresholds.size > 1) finding else 0]
}

/** The sum of what is weighted by the probabilities. */
private fun expected(probabilities: FloatArray, cost: (Int) -> Double): Double {
    var sum = 0.0
    for (i in probabilities.indices) sum += probabilities[i] * cost(i)
    return sum
}

/** What each call costs on average, in the order of the labels. */
private fun expectedCosts(rules: Rules, probabilities: FloatArray): List<Double> =
    rules.labels.indices.map { called -> expected(probabilities) { rules.costs[it][called] } }

/** Whether to refer this film costs less than any call. */
fun refers(rules: Rules, probabilities: FloatArray): Boolean {
    if (rules.refer.isEmpty()) return false
    val referring = expected(probabilities) { rules.refer[it] }
    return expectedCosts(rules, probabilities).all { referring < it }
}

/**
 * The number of the label of least expected cost where the card has costs, else of the most probable, of several findings
 * of those called if any is; the first of equals.
 */
fun chosen(rules: Rules, probabilities: FloatArray): Int {
    val first = { i: Int -> if (rules.task == "multilabel" && rules.calls(i, probabilities[i])) 1.0 else 0.0 }
    val shares = probabilities.mapIndexed { i, share -> share + first(i) }
    val worth = if (rules.costs.isEmpty()) shares else expectedCosts(rules, probabilities).map { -it }
    return worth.indices.reduce { best, i -> if (worth[i] > worth[best]) i else best }
}

/** The label at the card's threshold, sure or not; for a multilabel task every label called, joined by |. */
fun called(rules: Rules, probabilities: FloatArray): String = when (rules.task) {
    "multilabel" -> rules.labels.filterIndexed { i, _ -> rules.calls(i, probabilities[i]) }.joinToString("|")
    "binary" -> rules.labels[if (rules.calls(0, probabilities[0])) 1 else 0]
    else -> rules.labels[chosen(rules, probabilities)]
}

/** The labels that the card's abstention does not rule out, for a task with one label a film. */
fun held(rules: Rules, probabilities: FloatArray): List<String> {
    val binary = rules.task == "binary"
    val chances = if (binary) floatArrayOf(1 - probabilities[0], probabilities[0]) else probabilities
    return rules.labels.filterIndexed { i, _ -> chances[i] >= rules.least[i] }
}

/** The sum of `upside_down` and `features` below which a film is plainly upright. */
const val UPRIGHT = -2f

/** Times the limit of `layout`: nothing so far away is a chest, upright or not. */
const val FAR = 2f

/** Names of the gate's checks that a film fails; `unlike` in place of `layout` for one that may be a chest: docs/bundle.md. */
fun failed(rules: Rules, doubts: FloatArray): List<String> {
    val layout = rules.checks.indexOf("layout")
    val others = listOf("upside_down", "features").map { rules.checks.indexOf(it) }
    val found = rules.checks.filterIndexed { i, _ -> doubts[i] > rules.limits[i] }
    val near = layout >= 0 && doubts[layout] <= FAR * rules.limits[layout]
    val chest = near && others.all { it >= 0 } && doubts[others[0]] + doubts[others[1]] < UPRIGHT
    return found.map { if (it == "layout" && chest) "unlike" else it }
}

/** The label called, or `uncertain` where the card's abstention or gate says so. Takes calibrated probabilities. */
fun verdict(rules: Rules, probabilities: FloatArray, doubts: FloatArray): String {
    if (failed(rules, doubts).isNotEmpty() || refers(rules, probabilities)) return "uncertain"
    val label = called(rules, probabilities)
    if (rules.task == "multilabel" || rules.least.isEmpty()) return label
    return if (held(rules, probabilities) == listOf(label)) label else "uncertain"
}

/** Codes of the reasons to doubt a reading: ports/contract/README.md. `side` is of the network's square. */
fun reasons(rules: Rules, side: Int, film: Film, probabilities: FloatArray, doubts: FloatArray): List<String> {
    val seen = listOf("small" to (minOf(film.width, film.height) < side), "shape" to !chestShaped(film), "blank" to blank(film))
    val failed = failed(rules, doubts)
    val undecided = failed.isEmpty() && verdict(rules, probabilities, doubts) == "uncertain"
    val known = seen.filter { it.second }.map { it.first } + sightDoubts(rules.modality, film)
    val why = if (undecided) listOf(undecided(rules, probabilities)) else emptyList()
    return known + (if ("blank" in known) emptyList() else failed) + why
}

/** Why no single label stands, though the gate takes the film. */
private fun undecided(rules: Rules, probabilities: FloatArray): String = when {
    refers(rules, probabilities) -> "costs"
    held(rules, probabilities).isEmpty() -> "neither"
    else -> "several"
}

/** Doubts that say: no film of the kind that the reader learned from. Its probability and map mean nothing. */
val NO_SUCH_FILM = setOf("layout", "blank", "colour")

/** Doubts about the picture itself that make the verdict `uncertain`, whatever the network says. */
val REFUSING = setOf("shape", "blank", "colour", "round_field", "lesion", "head_slice", "lung_slice")

/** A stretch of the scale from 0 to 1 and what is said there, but for the gate. */
class Band(val from: Float, val to: Float, val verdict: String)

/** What each stretch of the probability says; empty where more than one probability decides. */
fun bands(rules: Rules): List<Band> {
    if (rules.task != "binary") return emptyList()
    val open = Rules(rules.task, rules.labels, rules.thresholds, rules.least, FloatArray(0))
    val cuts = listOf(rules.thresholds[0]) + if (rules.least.isEmpty()) emptyList() else listOf(1 - rules.least[0], rules.least[1])
    val ends = listOf(0f) + cuts.filter { it > 0 && it < 1 }.sorted() + 1f
    val found = mutableListOf<Band>()
    for ((from, to) in ends.zipWithNext()) {
        val said = verdict(open, floatArrayOf((from + to) / 2), FloatArray(0))
        val before = found.lastOrNull()?.takeIf { it.verdict == said }
        if (before != null) found.removeAt(found.size - 1)
        found += Band(before?.from ?: from, to, said)
    }
    return found
}
