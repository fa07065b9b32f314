// What is drawn over a film, as lucency.paint.overlay draws it: a light veil and contours from the map's own maximum down,
// a box around the strongest place, and the outline of what evidence was read in. Plain Kotlin; places in cells.

package lucency

/** Logits below which evidence is faint: drawn as a share of this instead of its own maximum, and not boxed. */
const val FAINT = 1f
val CONTOURS = floatArrayOf(0.5f, 0.75f)
private const val VEIL = 0.35f
private const val VEIL_FROM = 0.25f
private const val BOXED = 0.75f

/** A map of one finding: rows × columns of signed evidence in logits, zero outside the lungs. */
class EvidenceMap(val cells: FloatArray, val rows: Int, val columns: Int) {
    /** What the drawing falls from. */
    val top: Float = maxOf(cells.max(), FAINT)
}

/** Cells, `right` and `bottom` not included. */
data class Box(val left: Int, val top: Int, val right: Int, val bottom: Int)

/** How much of the film each cell's veil hides, 0 to 255: nothing up to a quarter of the strongest evidence. */
fun veil(map: EvidenceMap): IntArray = IntArray(map.cells.size) {
    val share = ((map.cells[it] / map.top - VEIL_FROM) / (1 - VEIL_FROM)).coerceIn(0f, 1f)
    Math.round(255 * VEIL * share)
}

/** Around the cells that border on the strongest one and have three quarters of its evidence; null where all is faint. */
fun strongest(map: EvidenceMap): Box? {
    val most = map.cells.max()
    if (most < FAINT) return null
    val found = mutableListOf(map.cells.indexOfFirst { it == most })
    var next = 0
    while (next < found.size) {
        val x = found[next] % map.columns
        val y = found[next++] / map.columns
        for (v in maxOf(y - 1, 0)..minOf(y + 1, map.rows - 1)) {
            for (u in maxOf(x - 1, 0)..minOf(x + 1, map.columns - 1)) {
                val cell = v * map.columns + u
                if (map.cells[cell] >= BOXED * most && cell !in found) found += cell
            }
        }
    }
    val across = found.map { it % map.columns }
    val down = found.map { it / map.columns }
    return Box(across.min(), down.min(), across.max() + 1, down.max() + 1)
}

/** Contours of the evidence, and the outline of the cells that carry any: the lungs, where the network reads them alone. */
fun contours(map: EvidenceMap): List<FloatArray> = CONTOURS.flatMap { contour(map.cells, map.rows, map.columns, it * map.top) }

fun outline(map: EvidenceMap): List<FloatArray> {
    val inside = FloatArray(map.cells.size) { if (map.cells[it] == 0f) 0f else 1f }
    return contour(inside, map.rows, map.columns, 0.5f)
}

/**
 * Where a grid crosses a level, as segments x1, y1, x2, y2, by marching squares (Lorensen & Cline 1987 in two
 * dimensions). Around the grid all lies below the level, so contours close.
 */
fun contour(values: FloatArray, rows: Int, columns: Int, level: Float): List<FloatArray> {
    fun at(x: Int, y: Int): Float {
        if (x < 0 || y < 0 || x >= columns || y >= rows) return -1f
        return (values[y * columns + x] - level).let { if (it == 0f) -1e-9f else it }
    }
    val found = mutableListOf<FloatArray>()
    for (y in -1 until rows) for (x in -1 until columns) {
        found += crossings(at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1), x + 0.5f, y + 0.5f)
    }
    return found
}

/** The segments between four corners, clockwise from `a` at (left, top). */
private fun crossings(a: Float, b: Float, c: Float, d: Float, left: Float, top: Float): List<FloatArray> {
    val above = if (a * b < 0) floatArrayOf(left + a / (a - b), top) else null
    val right = if (b * c < 0) floatArrayOf(left + 1, top + b / (b - c)) else null
    val below = if (d * c < 0) floatArrayOf(left + d / (d - c), top + 1) else null
    val beside = if (a * d < 0) floatArrayOf(left, top + a / (a - d)) else null
    val crossed = listOfNotNull(above, right, below, beside)
    if (crossed.size == 2) return listOf(crossed[0] + crossed[1])
    if (crossed.size < 4) return emptyList()
    // A saddle: what lies above the level stays apart.
    return if (a > 0) listOf(above!! + beside!!, right!! + below!!) else listOf(above!! + right!!, below!! + beside!!)
}

/** Evidence in logits to ARGB, alpha being its cover: blue against, yellow for, nothing at zero. */
fun colour(logit: Float, limit: Float = 10f): Int {
    val share = Math.round(127.0 * (logit.toDouble() / limit).coerceIn(-1.0, 1.0)) / 127.0
    val end = if (share < 0) intArrayOf(8, 40, 110) else intArrayOf(255, 222, 70)
    val mixed = end.map { Math.round(134 + (it - 134) * Math.abs(share)).toInt() }
    val cover = Math.round(255 * 0.72 * Math.abs(share)).toInt()
    return (cover shl 24) or (mixed[0] shl 16) or (mixed[1] shl 8) or mixed[2]
}
