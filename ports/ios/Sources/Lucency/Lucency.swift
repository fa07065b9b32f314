// From decoded pixels to the network's square, and from its answers to a reading: docs/preprocessing.md, step by step.
// Plain Swift with Foundation. tests/ports/ holds it to the golden vectors where swiftc is
// installed, and Tests/ to ports/contract/.

import Foundation

/// A film: rows from the top, bright = dense, a byte a pixel; `colour`: red, green and blue of each pixel, where it has them.
public struct Film {
    public let pixels: [UInt8]
    public let width: Int
    public let height: Int
    public let colour: [UInt8]?

    public init(pixels: [UInt8], width: Int, height: Int, colour: [UInt8]? = nil) {
        self.pixels = pixels
        self.width = width
        self.height = height
        self.colour = colour
    }
}

/// What card.json states under "preprocess".
public struct Preprocess: Decodable {
    public let version: Int
    public let imageSize: Int
    public let resizeMode: String
    public let filter: String
    public let channels: Int

    public init(version: Int, imageSize: Int, resizeMode: String, filter: String, channels: Int = 1) {
        self.channels = channels
        self.version = version
        self.imageSize = imageSize
        self.resizeMode = resizeMode
        self.filter = filter
    }

    /// Older cards say side and fit.
    public init(from decoder: Decoder) throws {
        let stated = try decoder.container(keyedBy: Key.self)
        version = try stated.decode(Int.self, forKey: .version)
        imageSize = try stated.decode(Int.self, forKey: stated.contains(.image_size) ? .image_size : .side)
        resizeMode = try stated.decode(String.self, forKey: stated.contains(.resize_mode) ? .resize_mode : .fit)
        filter = try stated.decode(String.self, forKey: .filter)
        channels = try stated.decodeIfPresent(Int.self, forKey: .channels) ?? 1
    }

    private enum Key: String, CodingKey { case version, image_size, resize_mode, side, fit, filter, channels }
}

/// A part of a film, in its pixels; beyond the film where it was padded.
public struct Window {
    public let left: Int
    public let top: Int
    public let width: Int
    public let height: Int
}

public enum LucencyError: Error {
    case unknownPreprocessing(version: Int, filter: String)
    case unknownResizeMode(String)
    case unknownCalibration(String)
}

/// RGBA bytes, not premultiplied, to gray.
public func gray(rgba: [UInt8]) -> [UInt8] {
    return stride(from: 0, to: rgba.count, by: 4).map { at -> UInt8 in
        var sum: Int = 32768
        for (channel, weight) in [19595, 38470, 7471].enumerated() { sum += weight * Int(rgba[at + channel]) }
        return UInt8(sum >> 16)
    }
}

/// RGBA bytes, not premultiplied, to red, green and blue, three bytes a pixel.
public func rgb(rgba: [UInt8]) -> [UInt8] {
    return rgba.indices.filter { $0 % 4 < 3 }.map { rgba[$0] }
}

/// Red, green and blue of a film as three gray pictures; of a gray film itself.
public func planes(_ film: Film) -> [[UInt8]] {
    guard let colour = film.colour else { return [film.pixels, film.pixels, film.pixels] }
    return (0..<3).map { channel in film.pixels.indices.map { colour[3 * $0 + channel] } }
}

/// 16 bits to the nearest of 256 levels.
public func gray8(_ wide: [UInt16]) -> [UInt8] {
    return wide.map { UInt8((Int($0) * 255 + 32767) / 65535) }
}

/// A film turned as EXIF tag 274 says: docs/preprocessing.md, section 2. Any other number: as stored.
public func upright(_ film: Film, orientation: Int) -> Film {
    let swapped = (5...8).contains(orientation)
    let width = swapped ? film.height : film.width, height = swapped ? film.width : film.height
    let right = film.width - 1, bottom = film.height - 1
    func from(_ x: Int, _ y: Int) -> Int {
        switch orientation {
        case 2: return film.width * y + right - x
        case 3: return film.width * (bottom - y) + right - x
        case 4: return film.width * (bottom - y) + x
        case 5: return film.width * x + y
        case 6: return film.width * (bottom - x) + y
        case 7: return film.width * (bottom - x) + right - y
        case 8: return film.width * x + right - y
        default: return film.width * y + x
        }
    }
    let places = (0..<(width * height)).map { from($0 % width, $0 / width) }
    let colour = film.colour.map { all in places.flatMap { all[(3 * $0)..<(3 * $0 + 3)] } }
    return Film(pixels: places.map { film.pixels[$0] }, width: width, height: height, colour: colour)
}

/// Film to the square of bytes that the network takes: of one channel, or red, green, blue of each pixel.
public func prepare(_ film: Film, _ how: Preprocess) throws -> [UInt8] {
    guard [1: 1, 3: 2][how.channels] == how.version, how.filter == "bilinear-antialiased" else {
        throw LucencyError.unknownPreprocessing(version: how.version, filter: how.filter)
    }
    func square(_ plane: [UInt8]) throws -> [UInt8] {
        return resized(try fitted(Film(pixels: plane, width: film.width, height: film.height), how.resizeMode), how.imageSize).pixels
    }
    if how.channels == 1 { return try square(film.pixels) }
    let squares = try planes(film).map(square)
    return (0..<(3 * how.imageSize * how.imageSize)).map { squares[$0 % 3][$0 / 3] }
}

/// Where the network's square lies on the film.
public func window(_ width: Int, _ height: Int, _ resizeMode: String) throws -> Window {
    if resizeMode == "stretch" { return Window(left: 0, top: 0, width: width, height: height) }
    guard resizeMode == "crop" || resizeMode == "pad" else { throw LucencyError.unknownResizeMode(resizeMode) }
    let side = resizeMode == "crop" ? min(width, height) : max(width, height)
    return Window(left: (width - side) / 2, top: (height - side) / 2, width: side, height: side)
}

/// The part of a film, or the black square around it, that is then resized.
public func fitted(_ film: Film, _ resizeMode: String) throws -> Film {
    let seen = try window(film.width, film.height, resizeMode)
    if seen.width == film.width && seen.height == film.height { return film }
    var pixels = [UInt8](repeating: 0, count: seen.width * seen.height)
    let left = max(seen.left, 0)
    let right = min(seen.left + seen.width, film.width)
    for y in max(seen.top, 0)..<min(seen.top + seen.height, film.height) {
        let start = (y - seen.top) * seen.width + left - seen.left
        let row = film.pixels[(y * film.width + left)..<(y * film.width + right)]
        pixels.replaceSubrange(start..<(start + right - left), with: row)
    }
    return Film(pixels: pixels, width: seen.width, height: seen.height)
}

/// How Pillow's filters weigh a pixel at a distance from the centre, and how far they reach.
public struct Filter {
    public let reach: Double
    public let weight: (Double) -> Double
}

private let triangle = Filter(reach: 1.0) { max(1.0 - abs($0), 0.0) }
let box = Filter(reach: 0.5) { $0 > -0.5 && $0 <= 0.5 ? 1.0 : 0.0 }

/// Antialiased bilinear, along the rows first, then along the columns.
public func resized(_ film: Film, _ side: Int) -> Film {
    return resized(film, side, triangle)
}

func resized(_ film: Film, _ side: Int, _ filter: Filter) -> Film {
    return pass(pass(film, side, filter), side, filter)
}

/// Every row to `side` pixels; rows become columns, so that a second pass does the other direction and turns back.
private func pass(_ film: Film, _ side: Int, _ filter: Filter) -> Film {
    var out = [UInt8](repeating: 0, count: side * film.height)
    for (x, tap) in taps(film.width, side, filter).enumerated() {
        for y in 0..<film.height {
            let start = y * film.width + tap.first
            var sum = 2_097_152
            for i in 0..<tap.weights.count { sum += tap.weights[i] * Int(film.pixels[start + i]) }
            out[x * film.height + y] = UInt8(min(max(sum >> 22, 0), 255))
        }
    }
    return Film(pixels: out, width: film.height, height: side)
}

/// For each output pixel its first input pixel and the weights from there on, in 22 fractional bits.
private func taps(_ given: Int, _ side: Int, _ filter: Filter) -> [(first: Int, weights: [Int])] {
    let scale = Double(given) / Double(side)
    let stretch = max(scale, 1.0)
    let reach = filter.reach * stretch
    return (0..<side).map { out in
        let center = (Double(out) + 0.5) * scale
        let first = max(Int(center - reach + 0.5), 0)
        let last = min(Int(center + reach + 0.5), given)
        let raw = (first..<last).map { x in filter.weight((Double(x) - center + 0.5) * (1.0 / stretch)) }
        let total = raw.reduce(0.0, +)
        return (first: first, weights: raw.map { Int(0.5 + $0 / total * 4194304.0) })
    }
}

/// What card.json states under "calibration"; each list has one number, or one a finding, but for the polyline.
public struct Calibration: Codable {
    public let method: String
    public let parameters: [String: [Double]]
}

/// Logits to the probabilities that the card's calibration makes of them: docs/bundle.md, section 3.
public func calibrated(_ task: String, _ how: Calibration, _ logits: [Float]) throws -> [Float] {
    if how.method == "isotonic" {
        return logits.map { Float(polyline(Double($0), how.parameters["logits"]!, how.parameters["probabilities"]!)) }
    }
    let scores = how.method == "dirichlet"
        ? dirichlet(how, logits.map { Double($0) })
        : try logits.enumerated().map { try score(how, $0.offset, Double($0.element)) }
    if task != "multiclass" { return scores.map { Float(exp(-softplus(-$0))) } }
    let spread = logSum(scores)
    return scores.map { Float(exp($0 - spread)) }
}

/// ln of the sum of the exponentials, without overflow.
private func logSum(_ scores: [Double]) -> Double {
    let largest = scores.max()!
    return largest + log(scores.reduce(0.0) { $0 + exp($1 - largest) })
}

/// The calibrated logits of several classes: a matrix, row by row, on the log of the softmax.
private func dirichlet(_ how: Calibration, _ logits: [Double]) -> [Double] {
    let matrix = how.parameters["matrix"]!, offset = how.parameters["offset"]!, spread = logSum(logits)
    return offset.indices.map { i in
        logits.indices.reduce(offset[i]) { $0 + matrix[i * logits.count + $1] * (logits[$1] - spread) }
    }
}

/// The calibrated logit of one finding.
private func score(_ how: Calibration, _ finding: Int, _ z: Double) throws -> Double {
    func number(_ name: String) -> Double {
        let list = how.parameters[name]!
        return list.count > 1 ? list[finding] : list[0]
    }
    switch how.method {
    case "none": return z
    case "temperature": return z / number("temperature")
    case "platt": return number("slope") * z + number("offset")
    case "beta": return number("b") * softplus(z) - number("a") * softplus(-z) + number("c")
    default: throw LucencyError.unknownCalibration(how.method)
    }
}

/// ln(1 + exp z) without overflow.
private func softplus(_ z: Double) -> Double {
    return max(z, 0.0) + log1p(exp(-abs(z)))
}

private func polyline(_ z: Double, _ x: [Double], _ y: [Double]) -> Double {
    guard let above = x.firstIndex(where: { $0 > z }) else { return y[y.count - 1] }
    if above == 0 { return y[0] }
    return y[above - 1] + (z - x[above - 1]) / (x[above] - x[above - 1]) * (y[above] - y[above - 1])
}

/// Whether this can be a whole chest at all; where not, the verdict is `uncertain` whatever the network says.
public func usual(_ film: Film) -> Bool {
    return chestShaped(film) && !blank(film)
}

private func chestShaped(_ film: Film) -> Bool {
    return (0.5...2.0).contains(Double(film.width) / Double(film.height))
}

private func blank(_ film: Film) -> Bool {
    return film.pixels.allSatisfy { $0 == film.pixels[0] }
}

/// What of card.json decides the verdict; `thresholds` is one for all findings or one each, `least` is empty without abstention, `limits` and `checks` without a gate, `costs`
/// (a row for each true label, of what each call costs) and `refer` without costs of errors.
public struct Rules {
    public let task: String
    public let labels: [String]
    public let thresholds: [Float]
    public let least: [Float]
    public let limits: [Float]
    public var checks: [String] = []
    public var modality: String = "chest_xray"
    public var costs: [[Double]] = []
    public var refer: [Double] = []

    /// Whether this finding of several is called at its threshold.
    public func calls(_ finding: Int, _ probability: Float) -> Bool {
        return probability >= thresholds[thresholds.count > 1 ? finding : 0]
    }
}

/// What each call costs on average, in the order of the labels.
private func expectedCosts(_ rules: Rules, _ probabilities: [Float]) -> [Double] {
    return rules.labels.indices.map { called in
        probabilities.indices.reduce(0.0) { $0 + Double(probabilities[$1]) * rules.costs[$1][called] }
    }
}

/// Whether to refer this film costs less than any call.
public func refers(_ rules: Rules, _ probabilities: [Float]) -> Bool {
    if rules.refer.isEmpty { return false }
    let referring = probabilities.indices.reduce(0.0) { $0 + Double(probabilities[$1]) * rules.refer[$1] }
    return expectedCosts(rules, probabilities).allSatisfy { referring < $0 }
}

/// The number of the label of least expected cost where the card has costs, else of the most probable, of several findings
/// of those called if any is; the first of equals.
public func chosen(_ rules: Rules, _ probabilities: [Float]) -> Int {
    if rules.costs.isEmpty {
        let called = probabilities.indices.filter { rules.task == "multilabel" && rules.calls($0, probabilities[$0]) }
        let among = called.isEmpty ? Array(probabilities.indices) : called
        return among.first { i in among.allSatisfy { probabilities[$0] <= probabilities[i] } }!
    }
    let costs = expectedCosts(rules, probabilities)
    return costs.firstIndex(of: costs.min()!)!
}

/// The label at the card's threshold, sure or not; for a multilabel task every label called, joined by |.
public func called(_ rules: Rules, _ probabilities: [Float]) -> String {
    if rules.task == "multilabel" {
        return probabilities.indices.filter { rules.calls($0, probabilities[$0]) }.map { rules.labels[$0] }.joined(separator: "|")
    }
    if rules.task == "binary" { return rules.labels[rules.calls(0, probabilities[0]) ? 1 : 0] }
    return rules.labels[chosen(rules, probabilities)]
}

/// The labels that the card's abstention does not rule out, for a task with one label a film.
public func held(_ rules: Rules, _ probabilities: [Float]) -> [String] {
    let chances = rules.task == "binary" ? [1 - probabilities[0], probabilities[0]] : probabilities
    return rules.labels.indices.filter { chances[$0] >= rules.least[$0] }.map { rules.labels[$0] }
}

/// Numbers of the gate's checks that a film fails.
private func failed(_ rules: Rules, _ doubts: [Float]) -> [Int] {
    return rules.limits.indices.filter { doubts[$0] > rules.limits[$0] }
}

/// The sum of `upside_down` and `features` below which a film is plainly upright.
public let plainlyUpright: Float = -2
/// Times the limit of `layout`: nothing so far away is a chest, upright or not.
public let farFromLayout: Float = 2

/// Names of the gate's checks that a film fails; `unlike` in place of `layout` for one that may be a chest: docs/bundle.md.
public func failedNames(_ rules: Rules, _ doubts: [Float]) -> [String] {
    let found = failed(rules, doubts).map { rules.checks[$0] }
    let places = ["layout", "upside_down", "features"].compactMap { rules.checks.firstIndex(of: $0) }
    guard places.count == 3 else { return found }
    let near = doubts[places[0]] <= farFromLayout * rules.limits[places[0]]
    let chest = near && doubts[places[1]] + doubts[places[2]] < plainlyUpright
    return found.map { $0 == "layout" && chest ? "unlike" : $0 }
}

/// The label called, or `uncertain` where the card's abstention or gate says so. Takes calibrated probabilities.
public func verdict(_ rules: Rules, _ probabilities: [Float], _ doubts: [Float]) -> String {
    if !failed(rules, doubts).isEmpty || refers(rules, probabilities) { return "uncertain" }
    let label = called(rules, probabilities)
    if rules.task == "multilabel" || rules.least.isEmpty { return label }
    return held(rules, probabilities) == [label] ? label : "uncertain"
}

/// Codes of the reasons to doubt a reading: ports/contract/README.md. `side` is of the network's square.
public func reasons(
    _ rules: Rules, _ side: Int, _ film: Film, _ probabilities: [Float], _ doubts: [Float]
) -> [String] {
    let seen = [("small", min(film.width, film.height) < side), ("shape", !chestShaped(film)), ("blank", blank(film))]
    let known = seen.filter { $0.1 }.map { $0.0 } + sightDoubts(rules.modality, film)
    let failing = failed(rules, doubts)
    var found = known + (known.contains("blank") ? [] : failedNames(rules, doubts))
    if failing.isEmpty && verdict(rules, probabilities, doubts) == "uncertain" {
        found.append(undecided(rules, probabilities))
    }
    return found
}

/// Why no single label stands, though the gate takes the film.
private func undecided(_ rules: Rules, _ probabilities: [Float]) -> String {
    if refers(rules, probabilities) { return "costs" }
    return held(rules, probabilities).isEmpty ? "neither" : "several"
}

/// Doubts that say: no film of the kind that the reader learned from. Its probability and map mean nothing.
public let noSuchFilm: Set<String> = ["layout", "blank", "colour"]

/// Doubts about the picture itself that make the verdict `uncertain`, whatever the network says.
public let refusing: Set<String> = ["shape", "blank", "colour", "round_field", "lesion", "head_slice", "lung_slice"]

/// A stretch of the scale from 0 to 1 and what is said there, but for the gate.
public struct Band: Equatable {
    public let from: Float
    public let to: Float
    public let verdict: String
}

/// What each stretch of the probability says; empty where more than one probability decides.
public func bands(_ rules: Rules) -> [Band] {
    if rules.task != "binary" { return [] }
    let open = Rules(task: rules.task, labels: rules.labels, thresholds: rules.thresholds, least: rules.least, limits: [])
    let cuts = [rules.thresholds[0]] + (rules.least.isEmpty ? [] : [1 - rules.least[0], rules.least[1]])
    let ends = [0] + cuts.filter { $0 > 0 && $0 < 1 }.sorted() + [1]
    var found: [Band] = []
    for (from, to) in zip(ends, ends.dropFirst()) {
        let said = verdict(open, [(from + to) / 2], [])
        if let before = found.last, before.verdict == said {
            found[found.count - 1] = Band(from: before.from, to: to, verdict: said)
        } else {
            found.append(Band(from: from, to: to, verdict: said))
        }
    }
    return found
}
