package lucency.app

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.util.AttributeSet
import android.view.View
import lucency.Band

private val COLOURS = mapOf("uncertain" to Color.rgb(150, 150, 150))
private val FIRST = Color.rgb(70, 110, 160)
private val LAST = Color.rgb(190, 110, 40)

/** The scale from 0 to 1 in the card's bands, each with its word, and where a film lies on it. */
class BandView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private var bands = emptyList<Band>()
    private var probability = 0f
    private val pen = Paint(Paint.ANTI_ALIAS_FLAG)

    fun show(bands: List<Band>, probability: Float) {
        this.bands = bands
        this.probability = probability
        contentDescription = bands.joinToString { "${it.verdict} ${percent(it.from)} to ${percent(it.to)}" }
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val line = height / 2f
        pen.textSize = line * 0.7f
        for (band in bands) {
            pen.color = COLOURS[band.verdict] ?: if (band.from == 0f) FIRST else LAST
            canvas.drawRect(band.from * width, 0f, band.to * width, line, pen)
            val word = pen.measureText(band.verdict)
            val middle = (band.from + band.to) / 2 * width - word / 2
            canvas.drawText(band.verdict, middle.coerceIn(0f, maxOf(width - word, 0f)), line * 1.8f, pen)
        }
        pen.color = Color.WHITE
        val at = probability * width
        if (bands.isNotEmpty()) canvas.drawRect(at - line / 8, 0f, at + line / 8, line, pen)
    }
}

/** A probability in words: nobody should read a tenth of a percent into it. */
fun percent(probability: Float): String = when {
    probability >= 0.99f -> "≥ 99 %"
    probability <= 0.01f -> "≤ 1 %"
    else -> "${Math.round(100 * probability)} %"
}
