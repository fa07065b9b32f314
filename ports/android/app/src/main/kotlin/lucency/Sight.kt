// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

package lucency

private const val NEAR_GRAY = 16
private const val COLOURED = 0.1
private const val UNCOLOURED = 0.01
private const val CELLS = 32
private const val LESION = 20.0
private const val LEAST_TEXTURE = 0.12
private const val MOST_TEXTURE = 0.5
private const val BODY = 190.0
private const val BETWEEN = 0.16
private const val LUNG_ROWS = 4
private const val LUNG_TEXTURE = 0.14

/** Kinds of picture in colour, by the card's `modality`. The rows of lucency.modality. */
private val IN_COLOUR = setOf("fundus", "skin", "photograph")

/** What a kind of picture must show, and whether a film does. */
private val SIGHTS: Map<String, Pair<String, (Film) -> Boolean>> = mapOf(
    "fundus" to ("round_field" to ::hasRoundField),
    "skin" to ("lesion" to ::hasLesion),
    "mri_slice" to ("head_slice" to ::hasHeadSlice),
    "ct_slice" to ("lung_slice" to ::hasLungSlice),
)

/** Codes of what a picture is not for a reader of this kind: `colour`, and what must be seen and is not. */
fun sightDoubts(modality: String, film: Film): List<String> {
    val share = colouredShare(film)
    val otherColour = if (modality in IN_COLOUR) share < UNCOLOURED else share > COLOURED
    val shows = film.pixels.any { it != film.pixels[0] }
    val unseen = SIGHTS[modality]?.takeIf { (_, isThere) -> shows && !isThere(film) }?.first
    return listOfNotNull(if (otherColour) "colour" else null, unseen)
}

/** Share of a film's pixels whose channels differ by more than NEAR_GRAY levels. */
fun colouredShare(film: Film): Double {
    val colour = film.colour ?: return 0.0
    val step = maxOf(1, Math.sqrt(film.width.toDouble() * film.height / 65536).toInt())
    var all = 0
    var coloured = 0
    for (y in 0 until film.height step step) for (x in 0 until film.width step step) {
        val at = 3 * (y * film.width + x)
        val channels = IntArray(3) { colour[at + it].toInt() and 255 }
        all++
        if (channels.max() - channels.min() > NEAR_GRAY) coloured++
    }
    return coloured.toDouble() / all
}

/** Whether at least two corners are less than half as bright as the centre, as around the field of a retinal camera. */
private fun hasRoundField(film: Film): Boolean = darkCorners(levels(film)) >= 2

/** How many corners are less than half as bright as the centre. */
private fun darkCorners(cells: DoubleArray): Int {
    fun mean(rows: IntRange, columns: IntRange): Double =
        rows.flatMap { row -> columns.map { cells[row * CELLS + it] } }.average()
    val ends = listOf(0..2, CELLS - 3 until CELLS)
    val middle = 8..23
    return ends.flatMap { rows -> ends.map { mean(rows, it) } }.count { it < 0.5 * mean(middle, middle) }
}

/** Whether a twentieth of the picture lies LESION levels from its median colour. */
private fun hasLesion(film: Film): Boolean {
    val channels = thumbnail(film)
    val medians = channels.map { quantile(it, 0.5) }
    val away = DoubleArray(CELLS * CELLS) { cell ->
        Math.sqrt(channels.indices.sumOf { (channels[it][cell] - medians[it]) * (channels[it][cell] - medians[it]) })
    }
    return quantile(away, 0.95) >= LESION
}

/** Whether two corners are dark and what is bright is as varied as a head by MRI. */
private fun hasHeadSlice(film: Film): Boolean {
    val cells = levels(film)
    return darkCorners(cells) >= 2 && step(cells) / cells.average() in LEAST_TEXTURE..MOST_TEXTURE
}

/** The mean difference of a cell from the mean of its four neighbours. */
private fun step(cells: DoubleArray): Double {
    val inner = 1 until CELLS - 1
    return inner.flatMap { row -> inner.map { row * CELLS + it } }.map {
        Math.abs(cells[it] - (cells[it - CELLS] + cells[it + CELLS] + cells[it - 1] + cells[it + 1]) / 4)
    }.average()
}

/** Whether cells are air or body, hardly between, with air left and right of a middle. */
private fun hasLungSlice(film: Film): Boolean {
    val cells = levels(film)
    val (air, body) = twoLevels(cells)
    val quarter = (body - air) / 4
    val between = cells.count { it > air + quarter && it < body - quarter }.toDouble() / cells.size
    val rows = cells.toList().chunked(CELLS).count { row ->
        val dark = row.map { it < (air + body) / 2 }
        dark.zipWithNext().count { (here, next) -> here && !next } - (if (dark[0]) 1 else 0) >= 2
    }
    val large = step(cells) <= LUNG_TEXTURE * (body - air)
    return body >= BODY && between <= BETWEEN && rows >= LUNG_ROWS && large
}

/** The mean levels of the dark and of the bright cells, split where these differ most (Otsu 1979). */
private fun twoLevels(cells: DoubleArray): Pair<Double, Double> {
    val ordered = cells.sortedArray()
    val n = ordered.size
    val total = ordered.sum()
    var dark = 0.0
    var best = -1.0
    var found = 0.0 to 0.0
    for (below in 1 until n) {
        dark += ordered[below - 1]
        val away = total * below / n - dark
        val apart = away * away / (below.toDouble() * (n - below))
        if (apart > best) {
            best = apart
            found = dark / below to (total - dark) / (n - below)
        }
    }
    return found
}

/** The mean of red, green and blue of 32 × 32 cells. */
private fun levels(film: Film): DoubleArray {
    val (red, green, blue) = thumbnail(film)
    return DoubleArray(red.size) { (red[it] + green[it] + blue[it]) / 3 }
}

/** The mean colour of 32 × 32 cells: red, green, blue. */
private fun thumbnail(film: Film): List<DoubleArray> = planes(film).map { plane ->
    val small = resized(Film(plane, film.width, film.height), CELLS, BOX).pixels
    DoubleArray(small.size) { (small[it].toInt() and 255).toDouble() }
}

/** Between two values by share, as numpy.percentile has it. */
private fun quantile(values: DoubleArray, share: Double): Double {
    val sorted = values.sortedArray()
    val place = share * (sorted.size - 1)
    val below = place.toInt()
    return sorted[below] + (place - below) * (sorted[minOf(below + 1, sorted.size - 1)] - sorted[below])
}
