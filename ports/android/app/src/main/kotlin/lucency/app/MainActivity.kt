package lucency.app

import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts
import java.util.concurrent.Executors
import lucency.Film
import lucency.Reader
import lucency.Reading
import lucency.bands
import lucency.goldenFailures
import org.json.JSONObject

private const val BUNDLE = "bundle"

/** Picks or takes a film, reads it on this device, and shows what was said, how sure, and where. */
class MainActivity : ComponentActivity() {
    private val work = Executors.newSingleThreadExecutor()
    private var reader: Reader? = null
    private val picker = registerForActivityResult(ActivityResultContracts.PickVisualMedia()) { it?.let(::read) }
    private val camera = registerForActivityResult(ActivityResultContracts.StartActivityForResult()) { result ->
        result.data?.data?.let(::read)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        findViewById<Button>(R.id.pick).setOnClickListener {
            picker.launch(PickVisualMediaRequest(ActivityResultContracts.PickVisualMedia.ImageOnly))
        }
        findViewById<Button>(R.id.take).setOnClickListener { camera.launch(Intent(this, CameraActivity::class.java)) }
        say(R.id.verdict, getString(R.string.starting))
        work.execute { attempt(::start) }
    }

    override fun onDestroy() {
        super.onDestroy()
        work.execute { reader?.close() }
        work.shutdown()
    }

    /** Opens the bundle, and reads no film before its golden outputs have been met on this device. */
    private fun start() {
        val opened = Reader(assets, BUNDLE, gpu = resources.getBoolean(R.bool.gpu))
        val golden = JSONObject(assets.open("$BUNDLE/golden/golden.json").bufferedReader().use { it.readText() })
        val failures = goldenFailures(opened, golden) { assetFilm(assets, "$BUNDLE/$it") }
        check(failures.isEmpty()) { getString(R.string.differs, failures.first()) }
        reader = opened
        val on = "${opened.engine.accelerator}" + (opened.engine.fallback?.let { " ($it)" } ?: "")
        runOnUiThread {
            say(R.id.verdict, getString(R.string.ready))
            say(R.id.engine, getString(R.string.runs_on, on))
            say(R.id.limits, limits(opened.card))
            for (id in listOf(R.id.pick, R.id.take)) findViewById<Button>(id).isEnabled = true
        }
    }

    private fun read(uri: Uri) {
        work.execute { attempt { reader?.let { reader -> openFilm(this, uri).let { show(it, reader.read(it), reader) } } } }
    }

    private fun show(film: Film, reading: Reading, reader: Reader) = runOnUiThread {
        findViewById<FilmView>(R.id.film).show(film, reading, reader.preprocess.resizeMode)
        say(R.id.verdict, reading.verdict)
        val finding = reader.rules.labels.last()
        val chance = getString(R.string.probability, finding, percent(reading.probabilities.last()))
        say(R.id.probability, if (reading.withheld) getString(R.string.withheld) else chance)
        val scale = findViewById<BandView>(R.id.bands)
        scale.visibility = if (reading.withheld) View.GONE else View.VISIBLE
        scale.show(bands(reader.rules), reading.probabilities.last())
        say(R.id.doubts, reading.doubts.joinToString("\n") { words(it) })
    }

    /** A doubt's code in words; a code that this app does not know, as it is. */
    private fun words(code: String): String {
        val known = resources.getIdentifier("doubt_$code", "string", packageName)
        return "• " + if (known == 0) code else getString(known)
    }

    private fun limits(card: JSONObject): String {
        val stated = card.getJSONArray("limits")
        return (0 until stated.length()).joinToString("\n") { stated.getString(it) }
    }

    /** What goes wrong is shown in one line; nothing of an earlier film stays beside it. */
    private fun attempt(step: () -> Unit) {
        try {
            step()
        } catch (error: Exception) {
            val why = error.message ?: error.javaClass.simpleName
            runOnUiThread {
                say(R.id.verdict, why)
                for (id in listOf(R.id.probability, R.id.doubts)) say(id, "")
            }
        }
    }

    private fun say(id: Int, text: String) {
        findViewById<TextView>(id).apply {
            this.text = text
            visibility = if (text.isEmpty()) View.GONE else View.VISIBLE
        }
    }
}
