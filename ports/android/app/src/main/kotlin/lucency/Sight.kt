// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

package lucency

private const val NEAR_GRAY = 16
private const val COLOURED = 0.1
private const val UNCOLOURED = 0.01
private const val CELLS = 32
private const val LESION = 20.0

/** Kinds of picture in colour, by the card's `modality`, and what each must show. The rows of lucency.modality. */
private val IN_COLOUR = mapOf("fundus" to ("round_field" to ::hasRoundField), "skin" to ("lesion" to ::hasLesion), "photograph" to null)

/** Codes of what a picture is not for a reader of this kind: `colour`, `round_field`, `lesion`. */
fun sightDoubts(modality: String, film: Film): List<String> {
    val share = colouredShare(film)
    if (modality !in IN_COLOUR) return if (share > COLOURED) listOf("colour") else emptyList()
    val (code, isThere) = IN_COLOUR[modality] ?: ("" to null)
    val unseen = isThere != null && film.pixels.any { it != film.pixels[0] } && !isThere(film)
    return (if (share < UNCOLOURED) listOf("colour") else emptyList()) + (if (unseen) listOf(code) else emptyList())
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
private fun hasRoundField(film: Film): Boolean {
    val channels = thumbnail(film)
    fun mean(rows: IntRange, columns: IntRange): Double =
        rows.flatMap { row -> columns.map { row * CELLS + it } }.map { cell -> channels.sumOf { it[cell] } / 3 }.average()
    val ends = listOf(0..2, CELLS - 3 until CELLS)
    val middle = 8..23
    return ends.flatMap { rows -> ends.map { mean(rows, it) } }.count { it < 0.5 * mean(middle, middle) } >= 2
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
