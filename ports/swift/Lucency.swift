// From decoded pixels to the network's square, and from its answers to a reading: docs/preprocessing.md, step by step.
// Plain Swift with Foundation. tests/ports/ holds it to the golden vectors, byte for byte, where swiftc is installed.

import Foundation

/// A film: rows from the top, bright = dense, a byte a pixel.
public struct Film {
    public let pixels: [UInt8]
    public let width: Int
    public let height: Int

    public init(pixels: [UInt8], width: Int, height: Int) {
        self.pixels = pixels
        self.width = width
        self.height = height
    }
}

/// What card.json states under "preprocess".
public struct Preprocess: Decodable {
    public let version: Int
    public let side: Int
    public let fit: String
    public let filter: String

    public init(version: Int, side: Int, fit: String, filter: String) {
        self.version = version
        self.side = side
        self.fit = fit
        self.filter = filter
    }

    /// Older cards say side and fit.
    public init(from decoder: Decoder) throws {
        let stated = try decoder.container(keyedBy: Key.self)
        version = try stated.decode(Int.self, forKey: .version)
        side = try stated.decode(Int.self, forKey: stated.contains(.image_size) ? .image_size : .side)
        fit = try stated.decode(String.self, forKey: stated.contains(.resize_mode) ? .resize_mode : .fit)
        filter = try stated.decode(String.self, forKey: .filter)
    }

    private enum Key: String, CodingKey { case version, image_size, resize_mode, side, fit, filter }
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
    case unknownFit(String)
    case unknownCalibration(String)
}

/// RGBA bytes, not premultiplied, to gray.
public func gray(rgba: [UInt8]) -> [UInt8] {
    return stride(from: 0, to: rgba.count, by: 4).map { at in
        UInt8((19595 * Int(rgba[at]) + 38470 * Int(rgba[at + 1]) + 7471 * Int(rgba[at + 2]) + 32768) >> 16)
    }
}

/// 16 bits to the nearest of 256 levels.
public func gray8(_ wide: [UInt16]) -> [UInt8] {
    return wide.map { UInt8((Int($0) * 255 + 32767) / 65535) }
}

/// Film to the square of bytes that the network takes.
public func prepare(_ film: Film, _ how: Preprocess) throws -> [UInt8] {
    guard how.version == 1, how.filter == "bilinear-antialiased" else {
        throw LucencyError.unknownPreprocessing(version: how.version, filter: how.filter)
    }
    return resized(try fitted(film, how.fit), how.side).pixels
}

/// Where the network's square lies on the film.
public func window(_ width: Int, _ height: Int, _ fit: String) throws -> Window {
    if fit == "stretch" { return Window(left: 0, top: 0, width: width, height: height) }
    guard fit == "crop" || fit == "pad" else { throw LucencyError.unknownFit(fit) }
    let side = fit == "crop" ? min(width, height) : max(width, height)
    return Window(left: (width - side) / 2, top: (height - side) / 2, width: side, height: side)
}

/// The part of a film, or the black square around it, that is then resized.
public func fitted(_ film: Film, _ fit: String) throws -> Film {
    let seen = try window(film.width, film.height, fit)
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

/// Antialiased bilinear, along the rows first, then along the columns.
public func resized(_ film: Film, _ side: Int) -> Film {
    return pass(pass(film, side), side)
}

/// Every row to `side` pixels; rows become columns, so that a second pass does the other direction and turns back.
private func pass(_ film: Film, _ side: Int) -> Film {
    var out = [UInt8](repeating: 0, count: side * film.height)
    for (x, tap) in taps(film.width, side).enumerated() {
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
private func taps(_ given: Int, _ side: Int) -> [(first: Int, weights: [Int])] {
    let scale = Double(given) / Double(side)
    let reach = max(scale, 1.0)
    return (0..<side).map { out in
        let center = (Double(out) + 0.5) * scale
        let first = max(Int(center - reach + 0.5), 0)
        let last = min(Int(center + reach + 0.5), given)
        let raw = (first..<last).map { x in max(1.0 - abs((Double(x) - center + 0.5) * (1.0 / reach)), 0.0) }
        let total = raw.reduce(0.0, +)
        return (first: first, weights: raw.map { Int(0.5 + $0 / total * 4194304.0) })
    }
}

/// Evidence in logits to red, green, blue and cover: blue against, yellow for, nothing at zero.
public func colour(_ logit: Float, limit: Float = 10) -> [UInt8] {
    let share = (127.0 * min(max(Double(logit) / Double(limit), -1.0), 1.0)).rounded() / 127.0
    let end: [Double] = share < 0 ? [8, 40, 110] : [255, 222, 70]
    let mixed = end.map { UInt8((134 + ($0 - 134) * abs(share)).rounded()) }
    return mixed + [UInt8((255 * 0.72 * abs(share)).rounded())]
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
    let scores = try logits.enumerated().map { try score(how, $0.offset, Double($0.element)) }
    if task != "multiclass" { return scores.map { Float(exp(-softplus(-$0))) } }
    let largest = scores.max()!
    let shares = scores.map { exp($0 - largest) }
    return shares.map { Float($0 / shares.reduce(0.0, +)) }
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
    let shape = Double(film.width) / Double(film.height)
    return shape >= 0.5 && shape <= 2.0 && film.pixels.contains { $0 != film.pixels[0] }
}

/// What of card.json decides the verdict; `least` is empty without abstention, `limits` without a gate.
public struct Rules {
    public let task: String
    public let labels: [String]
    public let threshold: Float
    public let least: [Float]
    public let limits: [Float]
}

/// The label called; for a multilabel task every label called, joined by |; `uncertain` where the card's abstention or
/// gate says so. Takes calibrated probabilities and the gate's doubts.
public func verdict(_ rules: Rules, _ probabilities: [Float], _ doubts: [Float]) -> String {
    if zip(doubts, rules.limits).contains(where: { $0 > $1 }) { return "uncertain" }
    if rules.task == "multilabel" {
        return zip(rules.labels, probabilities).filter { $1 >= rules.threshold }.map { $0.0 }.joined(separator: "|")
    }
    let binary = rules.task == "binary"
    let chances = binary ? [1 - probabilities[0], probabilities[0]] : probabilities
    let largest = chances.firstIndex(of: chances.max()!)!
    let called = binary ? (chances[1] >= rules.threshold ? 1 : 0) : largest
    if !rules.least.isEmpty {
        let held = chances.indices.filter { chances[$0] >= rules.least[$0] }
        if held != [called] { return "uncertain" }
    }
    return rules.labels[called]
}
