// ports/contract/contract.json and tests/golden/preprocessing.json, read where they lie in the repository: `swift test` on
// a Mac or on Linux. The network itself runs in NetworkTests, on Apple's systems.

import Foundation
import XCTest

@testable import Lucency

private let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../..").standardized

struct Contract: Decodable {
    struct MapSize: Decodable { let rows: Int, columns: Int, findings: Int }
    struct Film: Decodable {
        let name: String, width: Int, height: Int
        let pixels: Data, square: Data, colour: Data?
        let outputs: [String: [Float]]
        let verdict: String, called: String, doubts: [String], withheld: Bool
        let box: [Int]?
    }

    let tolerance: [String: Float]
    let map: MapSize
    let films: [Film]

    static func load() throws -> Contract {
        let url = root.appendingPathComponent("ports/contract/contract.json")
        return try JSONDecoder().decode(Contract.self, from: Data(contentsOf: url))
    }
}

/// Gives the outputs that the contract states.
private struct Stated: Network {
    let outputs: [String: [Float]]

    func run(_ square: [UInt8], side: Int) throws -> [String: [Float]] { return outputs }
}

func card(_ bundle: String = "src/lucency/pretrained/default") throws -> Card {
    return try JSONDecoder().decode(Card.self, from: Data(contentsOf: root.appendingPathComponent("\(bundle)/card.json")))
}

/// Every part of a film of the contract but the network's own numbers.
func assertKept(_ film: Contract.Film, _ contract: Contract, _ reader: Reader) throws {
    let colour = film.colour.map { [UInt8]($0) }
    let given = Film(pixels: [UInt8](film.pixels), width: film.width, height: film.height, colour: colour)
    let reading = try reader.read(given)
    XCTAssertEqual(Data(try prepare(given, reader.card.preprocess)), film.square, film.name)
    XCTAssertEqual([reading.map.rows, reading.map.columns], [contract.map.rows, contract.map.columns], film.name)
    XCTAssertEqual(reading.verdict, film.verdict, film.name)
    XCTAssertEqual(reading.called, film.called, film.name)
    XCTAssertEqual(reading.doubts, film.doubts, film.name)
    XCTAssertEqual(reading.withheld, film.withheld, film.name)
    let box = strongest(reading.map).map { [$0.left, $0.top, $0.right, $0.bottom] }
    XCTAssertEqual(box, film.box, film.name)
    XCTAssertEqual(reading.probabilities[0], film.outputs["probability"]![0], accuracy: 1e-5, film.name)
    XCTAssertEqual(differing(reading.outputs, contract.tolerance, film.outputs), [], film.name)
}

final class ContractTests: XCTestCase {
    func testFromAFilmToItsBytesAndFromOutputsToAReading() throws {
        let contract = try Contract.load()
        for film in contract.films {
            try assertKept(film, contract, try Reader(card: card(), network: Stated(outputs: film.outputs)))
        }
    }

    func testBandsAreTheCards() throws {
        let card = try card()
        let found = bands(card.rules)
        XCTAssertEqual(found.map { $0.verdict }, [card.labels[0], "uncertain", card.labels[1]])
        XCTAssertEqual(found[1].from, card.abstention.least[1])
        XCTAssertEqual(found[1].to, 1 - card.abstention.least[0])
    }

    func testOrientations() {
        let film = Film(pixels: [0, 1, 2, 3, 4, 5], width: 3, height: 2)
        XCTAssertEqual(upright(film, orientation: 1).pixels, film.pixels)
        XCTAssertEqual(upright(film, orientation: 2).pixels, [2, 1, 0, 5, 4, 3])
        XCTAssertEqual(upright(film, orientation: 3).pixels, [5, 4, 3, 2, 1, 0])
        XCTAssertEqual(upright(film, orientation: 6).pixels, [3, 0, 4, 1, 5, 2])
        XCTAssertEqual(upright(film, orientation: 8).pixels, [2, 5, 1, 4, 0, 3])
    }
}

#if canImport(CoreML)
/// The bundle of `copy-bundle.sh`, by Core ML on this device.
final class NetworkTests: XCTestCase {
    func testTheContractByTheNetwork() throws {
        let folder = root.appendingPathComponent("ports/ios/Sample.swiftpm/App/Resources/bundle")
        guard FileManager.default.fileExists(atPath: folder.path) else { throw XCTSkip("run copy-bundle.sh first") }
        let contract = try Contract.load()
        let reader = try Reader(folder: folder)
        for film in contract.films { try assertKept(film, contract, reader) }
    }
}
#endif
