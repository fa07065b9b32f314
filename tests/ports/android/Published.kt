// The signatures that ports/kotlin/LucencyReader.kt calls, as published, with nothing behind them:
// com.google.ai.edge.litert 2.x, Model.kt and TensorBuffer.kt below litert/kotlin/src/main/kotlin.

package com.google.ai.edge.litert

import android.content.res.AssetManager

enum class Accelerator(val value: Int) {
    NONE(0),
    CPU(1),
    GPU(2),
    NPU(3),
}

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray): Unit = throw NotImplementedError()

    fun readFloat(): FloatArray = throw NotImplementedError()

    override fun close() = Unit
}

class Environment

class CompiledModel private constructor() : AutoCloseable {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = throw NotImplementedError()

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = throw NotImplementedError()

    fun run(
        inputs: Map<String, TensorBuffer>,
        outputs: Map<String, TensorBuffer>,
        signature: String? = null,
    ): Unit = throw NotImplementedError()

    override fun close() = Unit

    companion object {
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel = throw NotImplementedError()
    }
}
