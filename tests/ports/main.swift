// Answers each line of stdin with one of stdout: what tests/ports/test_ports.py asks every port.
import Foundation

struct Contract: Decodable {
    struct Film: Decodable {
        let name: String, width: Int, height: Int, pixels: Data, square: Data, colour: Data?
        let outputs: [String: [Float]]
        let verdict: String, called: String, doubts: [String], box: [Int]?
    }

    let films: [Film]
}

/// Gives the outputs that the contract states.
struct Stated: Network {
    let outputs: [String: [Float]]

    func run(_ square: [UInt8], side: Int) throws -> [String: [Float]] { return outputs }
}

/// From a film to its bytes, and from outputs to a reading: what is not kept of ports/contract.
func contract(_ path: String, _ bundle: String) throws -> String {
    let stated = try JSONDecoder().decode(Contract.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    let card = try JSONDecoder().decode(Card.self, from: Data(contentsOf: URL(fileURLWithPath: bundle + "/card.json")))
    var failures: [String] = []
    for film in stated.films {
        let colour = film.colour.map { [UInt8]($0) }
        let given = Film(pixels: [UInt8](film.pixels), width: film.width, height: film.height, colour: colour)
        let reading = try Reader(card: card, network: Stated(outputs: film.outputs)).read(given)
        let box = strongest(reading.map).map { [$0.left, $0.top, $0.right, $0.bottom] }
        let kept = [
            ("square", Data(try prepare(given, card.preprocess)) == film.square), ("verdict", reading.verdict == film.verdict),
            ("called", reading.called == film.called), ("doubts", reading.doubts == film.doubts), ("box", box == film.box),
        ]
        failures += kept.filter { !$0.1 }.map { "\(film.name): \($0.0)" }
    }
    return failures.isEmpty ? "\(stated.films.count) kept" : failures.joined(separator: "; ")
}

func numbers(_ digits: String, _ each: Int) -> [Int] {
    let all = Array(digits)
    return stride(from: 0, to: all.count, by: each).map { Int(String(all[$0..<($0 + each)]), radix: 16)! }
}

func hex(_ bytes: [UInt8]) -> String {
    return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func how(_ version: String, _ imageSize: String, _ resizeMode: String, _ filter: String, _ channels: Int = 1) -> Preprocess {
    return Preprocess(version: Int(version)!, imageSize: Int(imageSize)!, resizeMode: resizeMode, filter: filter, channels: channels)
}

/// Six digits a pixel: red, green, blue.
func inColour(_ width: String, _ height: String, _ digits: String) -> Film {
    let colour = numbers(digits, 2).map(UInt8.init)
    let rgba = stride(from: 0, to: colour.count, by: 3).flatMap { colour[$0..<($0 + 3)] + [255] }
    return Film(pixels: gray(rgba: rgba), width: Int(width)!, height: Int(height)!, colour: colour)
}

func prepared(_ words: [String]) throws -> String {
    if words[0] == "24" {
        let square = how("2", words[3], words[4], "bilinear-antialiased", 3)
        return hex(try prepare(inColour(words[1], words[2], words[5]), square))
    }
    let pixels = words[0] == "16" ? gray8(numbers(words[5], 4).map(UInt16.init)) : numbers(words[5], 2).map(UInt8.init)
    let film = Film(pixels: pixels, width: Int(words[1])!, height: Int(words[2])!)
    return hex(try prepare(film, how("1", words[3], words[4], "bilinear-antialiased")))
}

func seen(_ words: [String]) throws -> String {
    let seen = try window(Int(words[0])!, Int(words[1])!, words[2])
    return [seen.left, seen.top, seen.width, seen.height].map { String($0) }.joined(separator: " ")
}

func floats(_ list: String) -> [Float] {
    return list == "-" ? [] : list.split(separator: ",").map { Float($0)! }
}

func called(_ words: [String]) -> String {
    let labels = words[2].split(separator: ",").map { String($0) }
    let rules = Rules(
        task: words[0], labels: labels, thresholds: floats(words[1]), least: floats(words[3]), limits: floats(words[4]))
    let label = verdict(rules, floats(words[5]), floats(words[6]))
    return label.isEmpty ? "none" : label
}

func refused(_ words: [String]) -> String {
    let names = words[0].split(separator: ",").map { String($0) }
    let rules = Rules(
        task: "binary", labels: ["a", "b"], thresholds: [0.5], least: [], limits: floats(words[1]), checks: names)
    let found = failedNames(rules, floats(words[2])).joined(separator: ",")
    return found.isEmpty ? "none" : found
}

/// "name=1,2;name=3" to the lists of a calibration.
func lists(_ words: String) -> [String: [Double]] {
    var found: [String: [Double]] = [:]
    for part in words.split(separator: ";") where part != "-" {
        let pair = part.split(separator: "=")
        found[String(pair[0])] = pair[1].split(separator: ",").map { Double($0)! }
    }
    return found
}

func chances(_ words: [String]) throws -> String {
    let how = Calibration(method: words[1], parameters: lists(words[2]))
    return try calibrated(words[0], how, floats(words[3])).map { String($0) }.joined(separator: " ")
}

func call(_ words: [String]) throws -> String {
    let probabilities = try calibrated("multiclass", Calibration(method: words[0], parameters: lists(words[1])), floats(words[5]))
    let costs = words[2] == "-" ? [] : words[2].split(separator: ";").map { floats(String($0)).map { Double($0) } }
    let rules = Rules(
        task: "multiclass", labels: ["mel", "nv", "bkl"], thresholds: [0.5], least: floats(words[4]), limits: [],
        costs: costs, refer: floats(words[3]).map { Double($0) })
    let why = reasons(rules, 1, Film(pixels: [0, 1], width: 2, height: 1), probabilities, [])
    return "\(called(rules, probabilities)) \(verdict(rules, probabilities, [])) \(why.isEmpty ? "-" : why.joined(separator: ","))"
}

func chest(_ words: [String]) -> String {
    let pixels = numbers(words[2], 2).map(UInt8.init)
    return String(usual(Film(pixels: pixels, width: Int(words[0])!, height: Int(words[1])!)))
}

func version(_ words: [String]) -> String {
    let film = Film(pixels: [0], width: 1, height: 1)
    return (try? prepare(film, how(words[0], "1", "pad", words[1]))) == nil ? "refused" : "taken"
}

func answer(_ verb: String, _ words: [String]) throws -> String {
    switch verb {
    case "prepare": return try prepared(words)
    case "gray": return hex(gray(rgba: numbers(words[0], 2).map(UInt8.init)))
    case "colour": return colour(Float(words[0])!).map { String($0) }.joined(separator: " ")
    case "window": return try seen(words)
    case "gate": return refused(words)
    case "verdict": return called(words)
    case "calibrated": return try chances(words)
    case "call": return try call(words)
    case "contract": return try contract(words[0], words[1])
    case "usual": return chest(words)
    case "sight":
        let found = sightDoubts(words[0], inColour(words[1], words[2], words[3])).joined(separator: ",")
        return found.isEmpty ? "none" : found
    default: return version(words)
    }
}

while let line = readLine() {
    let words = line.split(separator: " ").map { String($0) }
    if !words.isEmpty { print(try answer(words[0], Array(words.dropFirst()))) }
}
