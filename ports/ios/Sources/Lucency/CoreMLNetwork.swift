// A bundle's network by Core ML, which every Apple device has: no package to add.

#if canImport(CoreML)
import CoreML
import Foundation

/// The network of `lucency export --to coreml`. Full precision on the CPU: the GPU and the Neural Engine round to 16 bits,
/// and cells of a map reach hundreds of logits.
public final class CoreMLNetwork: Network {
    private let model: MLModel

    /// Opens a .mlmodelc that Xcode has compiled, or compiles a .mlpackage now.
    public init(_ url: URL, units: MLComputeUnits = .cpuOnly) throws {
        let compiled = url.pathExtension == "mlmodelc" ? url : try MLModel.compileModel(at: url)
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        model = try MLModel(contentsOf: compiled, configuration: configuration)
    }

    public func run(_ square: [UInt8], side: Int) throws -> [String: [Float]] {
        let shape = [1, side, side, square.count / (side * side)].map { NSNumber(value: $0) }
        let film = try MLMultiArray(shape: shape, dataType: .float32)
        film.withUnsafeMutableBytes { bytes, _ in
            let floats = bytes.bindMemory(to: Float32.self)
            for i in square.indices { floats[i] = Float32(square[i]) }
        }
        let input = try MLDictionaryFeatureProvider(dictionary: ["film": MLFeatureValue(multiArray: film)])
        let told = try model.prediction(from: input)
        var outputs: [String: [Float]] = [:]
        for name in told.featureNames {
            guard let values = told.featureValue(for: name)?.multiArrayValue else { throw BundleError.noOutput(name) }
            // By index, not by pointer: Core ML may pad rows.
            outputs[name] = (0..<values.count).map { values[$0].floatValue }
        }
        return outputs
    }
}

extension Reader {
    /// Opens a folder of the app with the bundle's card.json and its model.
    public convenience init(folder: URL) throws {
        let card = try JSONDecoder().decode(Card.self, from: Data(contentsOf: folder.appendingPathComponent("card.json")))
        let compiled = folder.appendingPathComponent("model.mlmodelc")
        let package = folder.appendingPathComponent("model.mlpackage")
        let found = FileManager.default.fileExists(atPath: compiled.path) ? compiled : package
        try self.init(card: card, network: CoreMLNetwork(found))
    }
}
#endif
