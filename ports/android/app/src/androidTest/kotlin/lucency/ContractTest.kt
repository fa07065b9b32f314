package lucency

import androidx.test.ext.junit.runners.AndroidJUnit4
import androidx.test.platform.app.InstrumentationRegistry
import lucency.app.assetFilm
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith

/** On a device: ./gradlew connectedDebugAndroidTest. */
@RunWith(AndroidJUnit4::class)
class ContractTest {
    private val instrumentation = InstrumentationRegistry.getInstrumentation()
    private val assets = instrumentation.targetContext.assets

    @Test
    fun theContractOfAllPorts() {
        val text = instrumentation.context.assets.open("contract.json").bufferedReader().use { it.readText() }
        Reader(assets, "bundle").use { assertEquals(emptyList<String>(), contractFailures(JSONObject(text), it)) }
    }

    @Test
    fun theGoldenOutputsByThisDecoderOnEachProcessor() {
        val golden = JSONObject(assets.open("bundle/golden/golden.json").bufferedReader().use { it.readText() })
        for (gpu in listOf(false, true)) {
            Reader(assets, "bundle", gpu).use { reader ->
                val failures = goldenFailures(reader, golden) { assetFilm(assets, "bundle/$it") }
                assertEquals("on ${reader.engine.accelerator}", emptyList<String>(), failures)
            }
        }
    }
}
