// One film through a bundle's network: the card, the call and the reading. Foundation alone; CoreMLNetwork.swift runs it.

import Foundation

/// The part of card.json that reading needs.
public struct Card: Decodable {
    public struct Model: Decodable { public let file: String }
    public struct OperatingPoint: Decodable {
        /// One for all findings, or one each; the card states a single one as a number.
        public let threshold: [Float]

        private enum Keys: String, CodingKey { case threshold }

        public init(from decoder: Decoder) throws {
            let stated = try decoder.container(keyedBy: Keys.self)
            let one = try? stated.decode(Float.self, forKey: .threshold)
            threshold = try one.map { [$0] } ?? stated.decode([Float].self, forKey: .threshold)
        }
    }
    public struct Abstention: Decodable { public let method: String, least: [Float] }
    public struct Check: Decodable { public let name: String, limit: Float }
    public struct Gate: Decodable { public let checks: [Check] }
    public struct Costs: Decodable { public let called: [[Double]], refer: [Double]? }

    public let schema_version: Int
    public let task: String
    public let labels: [String]
    public let modality: String?
    public let preprocess: Preprocess
    public let model: Model
    public let calibration: Calibration
    public let operating_point: OperatingPoint
    public let abstention: Abstention
    public let gate: Gate
    public let limits: [String]
    public let costs: Costs?

    public var rules: Rules {
        return Rules(
            task: task, labels: labels, thresholds: operating_point.threshold,
            least: abstention.method == "none" ? [] : abstention.least, limits: gate.checks.map { $0.limit },
            checks: gate.checks.map { $0.name }, modality: modality ?? "chest_xray", costs: costs?.called ?? [],
            refer: costs?.refer ?? [])
    }
}

public enum BundleError: Error {
    /// This port reads cards of schema 1.
    case newerSchema(Int)
    /// Compared with a limit or a threshold, NaN would pass for "no doubt".
    case notANumber
    case noOutput(String)
    /// This device does not give the bundle's golden outputs: what differs.
    case differs([String])
}

/// Runs the network of a bundle.
public protocol Network {
    /// The outputs by name, in the order of the network's file, for a square of side × side bytes.
    func run(_ square: [UInt8], side: Int) throws -> [String: [Float]]
}

/// What a reader says of one film. `doubts` are codes (ports/contract/README.md); `map` is of the
/// label called; for a multilabel task of the most probable of those called, or of all.
public struct Reading {
    public let verdict: String
    public let called: String
    public let probabilities: [Float]
    public let logits: [Float]
    public let map: EvidenceMap
    public let doubts: [String]
    public let outputs: [String: [Float]]

    /// Whether neither probability nor map is to be shown.
    public var withheld: Bool { return !noSuchFilm.isDisjoint(with: doubts) }

    /// The map of another label, by its number.
    public func map(of label: Int) -> EvidenceMap {
        return evidence(outputs["map"]!, findings: logits.count, finding: label)
    }
}

/// Reads films, one at a time.
public final class Reader {
    public let card: Card
    private let network: Network

    public init(card: Card, network: Network) throws {
        guard card.schema_version == 1 else { throw BundleError.newerSchema(card.schema_version) }
        self.card = card
        self.network = network
    }

    public func read(_ film: Film) throws -> Reading {
        let outputs = try network.run(try prepare(film, card.preprocess), side: card.preprocess.imageSize)
        guard outputs.values.allSatisfy({ $0.allSatisfy { $0.isFinite } }) else { throw BundleError.notANumber }
        guard let logits = outputs["logit"] else { throw BundleError.noOutput("logit") }
        guard let map = outputs["map"] else { throw BundleError.noOutput("map") }
        let doubts = outputs["doubt"] ?? []
        guard doubts.count == card.gate.checks.count else { throw BundleError.noOutput("doubt") }
        // Not the output `probability`: a bundle may have been calibrated again after its export.
        let probabilities = try calibrated(card.task, card.calibration, logits)
        let rules = card.rules, why = reasons(rules, card.preprocess.imageSize, film, probabilities, doubts)
        return Reading(
            verdict: refusing.isDisjoint(with: why) ? verdict(rules, probabilities, doubts) : "uncertain",
            called: called(rules, probabilities), probabilities: probabilities, logits: logits,
            map: evidence(map, findings: logits.count, finding: chosen(rules, probabilities)),
            doubts: why, outputs: outputs)
    }
}

/// One finding's cells of a map of rows × columns × findings; as the square is one, rows and columns are as many.
private func evidence(_ map: [Float], findings: Int, finding: Int) -> EvidenceMap {
    let side = Int(Double(map.count / findings).squareRoot().rounded())
    return EvidenceMap(cells: (0..<(side * side)).map { map[$0 * findings + finding] }, rows: side, columns: side)
}

/// golden/golden.json of a bundle.
public struct Golden: Decodable {
    public struct Film: Decodable {
        public let film: String
        public let square: String
        public let logits: [Float]
        public let maps: [[[Float]]]
        public let doubts: [Float]
    }

    public let tolerance: [String: Float]
    public let films: [Film]
}

/// What this device gives otherwise than golden.json states, one line each; `decode`: the name of a PNG to its film.
public func goldenFailures(_ reader: Reader, _ golden: Golden, decode: (String) throws -> Film) throws -> [String] {
    var failures: [String] = []
    for stated in golden.films {
        let film = try decode(stated.film)
        let square = try decode(stated.square), inColour = reader.card.preprocess.channels == 3
        if try prepare(film, reader.card.preprocess) != (inColour ? square.colour : square.pixels) {
            failures.append("\(stated.film): square")
            continue
        }
        let flat = stated.maps.map { $0.flatMap { $0 } }
        let map = (0..<flat[0].count).flatMap { cell in flat.map { $0[cell] } }
        let expected = ["logit": stated.logits, "map": map, "doubt": stated.doubts]
        failures += differing(try reader.read(film).outputs, golden.tolerance, expected).map { "\(stated.film): \($0)" }
    }
    return failures
}

/// The outputs that are further from the expected ones than `tolerance`.
public func differing(
    _ outputs: [String: [Float]], _ tolerance: [String: Float], _ expected: [String: [Float]]
) -> [String] {
    return expected.keys.sorted().filter { name in
        guard let found = outputs[name], found.count == expected[name]!.count else { return !expected[name]!.isEmpty }
        return !zip(found, expected[name]!).allSatisfy { abs($0 - $1) <= tolerance[name]! }
    }
}
