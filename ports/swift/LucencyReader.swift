// One film through a bundle's network on iOS, by TensorFlowLiteSwift (CocoaPods: pod 'TensorFlowLiteSwift').
// Not compiled by lucency's tests: no Swift compiler and no Apple device is at hand there.

import Foundation
import TensorFlowLite

/// The part of card.json that reading needs.
public struct Card: Decodable {
    public struct Model: Codable { public let file: String }
    public struct OperatingPoint: Codable { public let threshold: Float }
    public struct Abstention: Codable { public let method: String, least: [Float] }
    public struct Check: Codable { public let limit: Float }
    public struct Gate: Codable { public let checks: [Check] }

    public let schema_version: Int
    public let task: String
    public let labels: [String]
    public let preprocess: Preprocess
    public let model: Model
    public let calibration: Calibration
    public let operating_point: OperatingPoint
    public let abstention: Abstention
    public let gate: Gate

    var rules: Rules {
        return Rules(
            task: task, labels: labels, threshold: operating_point.threshold,
            least: abstention.method == "none" ? [] : abstention.least, limits: gate.checks.map { $0.limit })
    }
}

public enum BundleError: Error {
    /// This port reads cards of schema 1.
    case newerSchema(Int)
    /// Compared with a limit or a threshold, NaN would pass for "no doubt".
    case notANumber
}

/// What a reader says of one film. The map holds rows × columns × findings, signed, in logits.
public struct Reading {
    public let verdict: String
    public let probabilities: [Float]
    public let logits: [Float]
    public let map: [Float]
}

/// A bundle's card.json and model file, in one folder of the app. One film at a time.
public final class Reader {
    public let card: Card
    private let runner: SignatureRunner

    public init(folder: URL, threads: Int = 1) throws {
        let text = try Data(contentsOf: folder.appendingPathComponent("card.json"))
        card = try JSONDecoder().decode(Card.self, from: text)
        guard card.schema_version == 1 else { throw BundleError.newerSchema(card.schema_version) }
        var options = Interpreter.Options()
        options.threadCount = threads
        options.isXNNPackEnabled = true
        let model = folder.appendingPathComponent(card.model.file).path
        let interpreter = try Interpreter(modelPath: model, options: options)
        runner = try interpreter.signatureRunner(with: interpreter.signatureKeys[0])
    }

    public func read(_ film: Film) throws -> Reading {
        let square = try prepare(film, card.preprocess).map(Float32.init)
        try runner.invoke(with: ["film": square.withUnsafeBytes { Data($0) }])
        let logits = try output("logit"), map = try output("map")
        let doubts = card.gate.checks.isEmpty ? [] : try output("doubt")
        guard (logits + map + doubts).allSatisfy({ $0.isFinite }) else { throw BundleError.notANumber }
        let probabilities = try calibrated(card.task, card.calibration, logits)
        let said = usual(film) ? verdict(card.rules, probabilities, doubts) : "uncertain"
        return Reading(verdict: said, probabilities: probabilities, logits: logits, map: map)
    }

    private func output(_ name: String) throws -> [Float] {
        return try runner.output(named: name).data.withUnsafeBytes { Array($0.bindMemory(to: Float32.self)) }
    }
}
