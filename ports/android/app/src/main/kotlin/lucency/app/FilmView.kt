package lucency.app

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF
import android.util.AttributeSet
import android.view.MotionEvent
import android.view.View
import lucency.EvidenceMap
import lucency.Film
import lucency.Reading
import lucency.contours
import lucency.outline
import lucency.strongest
import lucency.veil
import lucency.window

private val EVIDENCE = Color.rgb(255, 222, 70)
private val STRONGEST = Color.rgb(255, 120, 60)
private val LUNGS = Color.rgb(120, 190, 255)

/** A film with the map over it; a finger on it shows the bare film. */
class FilmView(context: Context, attributes: AttributeSet?) : View(context, attributes) {
    private var film: Bitmap? = null
    private var map: EvidenceMap? = null
    private var veil: Bitmap? = null
    private var seen = RectF()
    private var bare = false
    private val smooth = Paint(Paint.FILTER_BITMAP_FLAG)
    private val pen = Paint(Paint.ANTI_ALIAS_FLAG).apply { style = Paint.Style.STROKE }

    fun show(shown: Film, reading: Reading, resizeMode: String) {
        film = picture(shown)
        val square = window(shown.width, shown.height, resizeMode)
        seen = RectF(
            square.left.toFloat(),
            square.top.toFloat(),
            (square.left + square.width).toFloat(),
            (square.top + square.height).toFloat(),
        )
        map = reading.map.takeUnless { reading.withheld }
        veil = map?.let(::veiled)
        invalidate()
    }

    private fun veiled(map: EvidenceMap): Bitmap {
        val red = Color.red(EVIDENCE)
        val pixels = veil(map).map { Color.argb(it, red, Color.green(EVIDENCE), Color.blue(EVIDENCE)) }.toIntArray()
        return Bitmap.createBitmap(pixels, map.columns, map.rows, Bitmap.Config.ARGB_8888)
    }

    override fun onTouchEvent(event: MotionEvent): Boolean {
        bare = event.actionMasked == MotionEvent.ACTION_DOWN || event.actionMasked == MotionEvent.ACTION_MOVE
        if (event.actionMasked == MotionEvent.ACTION_UP) performClick()
        invalidate()
        return true
    }

    override fun performClick(): Boolean = super.performClick()

    override fun onDraw(canvas: Canvas) {
        super.onDraw(canvas)
        val film = film ?: return
        val scale = minOf(width.toFloat() / film.width, height.toFloat() / film.height)
        canvas.save()
        canvas.translate((width - film.width * scale) / 2, (height - film.height * scale) / 2)
        canvas.scale(scale, scale)
        canvas.clipRect(0f, 0f, film.width.toFloat(), film.height.toFloat())
        canvas.drawBitmap(film, 0f, 0f, smooth)
        if (!bare) map?.let { drawMap(canvas, it, 1.5f * resources.displayMetrics.density / scale) }
        canvas.restore()
    }

    private fun drawMap(canvas: Canvas, map: EvidenceMap, wide: Float) {
        veil?.let { canvas.drawBitmap(it, null, seen, smooth) }
        drawLines(canvas, map, outline(map), LUNGS, wide)
        drawLines(canvas, map, contours(map), EVIDENCE, wide)
        val box = strongest(map) ?: return
        pen.color = STRONGEST
        pen.strokeWidth = 2 * wide
        canvas.drawRect(x(map, box.left.toFloat()), y(map, box.top.toFloat()), x(map, box.right.toFloat()), y(map, box.bottom.toFloat()), pen)
    }

    private fun drawLines(canvas: Canvas, map: EvidenceMap, lines: List<FloatArray>, colour: Int, wide: Float) {
        pen.color = colour
        pen.strokeWidth = wide
        for ((x1, y1, x2, y2) in lines) canvas.drawLine(x(map, x1), y(map, y1), x(map, x2), y(map, y2), pen)
    }

    private fun x(map: EvidenceMap, cells: Float): Float = seen.left + cells * seen.width() / map.columns

    private fun y(map: EvidenceMap, cells: Float): Float = seen.top + cells * seen.height() / map.rows
}
