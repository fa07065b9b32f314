// com.google.ai.edge.litert 2.x as published (Model.kt, TensorBuffer.kt, Common.kt, LiteRtException.kt), with LiteRT for
// Python behind it: litert.py runs the network. A GPU there is not.

package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.DataInputStream
import java.io.DataOutputStream

enum class Accelerator(val value: Int) { NONE(0), CPU(1), GPU(2), NPU(3) }

class LiteRtException(message: String) : Exception(message)

class TensorBuffer internal constructor(val name: String) : AutoCloseable {
    internal var values = FloatArray(0)

    fun writeFloat(data: FloatArray) {
        values = data
    }

    fun readFloat(): FloatArray = values

    override fun close() = Unit
}

class Environment

class CompiledModel private constructor(path: String) : AutoCloseable {
    data class CpuOptions(
        val numThreads: Int? = null,
        val xnnPackFlags: Int? = null,
        val xnnPackWeightCachePath: String? = null,
    )

    data class GpuOptions(
        val constantTensorSharing: Boolean? = null,
        val infiniteFloatCapping: Boolean? = null,
        val benchmarkMode: Boolean? = null,
        val allowSrcQuantizedFcConvOps: Boolean? = null,
        val precision: Precision? = null,
    ) {
        enum class Precision(val value: Int) { DEFAULT(0), FP16(1), FP32(2) }
    }

    class Options(internal val accelerators: Set<Accelerator>) {
        constructor(vararg accelerators: Accelerator) : this(setOf(*accelerators))

        var cpuOptions: CpuOptions? = null
        var gpuOptions: GpuOptions? = null
    }

    private val process = ProcessBuilder(System.getProperty("python"), System.getProperty("litert"), path)
        .redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val to = DataOutputStream(process.outputStream.buffered())
    private val from = DataInputStream(process.inputStream.buffered())

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TensorBuffer(inputName)

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TensorBuffer(outputName)

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null) {
        inputs.getValue("film").values.forEach(to::writeFloat)
        to.flush()
        repeat(from.readInt()) {
            val name = from.readUTF()
            val values = FloatArray(from.readInt()) { from.readFloat() }
            outputs[name]?.values = values
        }
    }

    override fun close() {
        to.close()
        process.waitFor()
    }

    companion object {
        fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options(Accelerator.CPU),
            optionalEnv: Environment? = null,
        ): CompiledModel {
            if (Accelerator.CPU !in options.accelerators) throw LiteRtException("Failed to create compiled model")
            return CompiledModel("${System.getProperty("assets")}/$assetName")
        }
    }
}
