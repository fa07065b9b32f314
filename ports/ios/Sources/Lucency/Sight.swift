// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

import Foundation

private let nearGray = 16, coloured = 0.1, uncoloured = 0.01
private let cells = 32, lesionLevels = 20.0

/// Kinds of picture in colour, by the card's `modality`: the rows of lucency.modality.
private let inColour: Set<String> = ["fundus", "skin", "photograph"]

/// Codes of what a picture is not for a reader of this kind: `colour`, `round_field`, `lesion`.
public func sightDoubts(_ modality: String, _ film: Film) -> [String] {
    let share = colouredShare(film)
    if !inColour.contains(modality) { return share > coloured ? ["colour"] : [] }
    var found = share < uncoloured ? ["colour"] : []
    if film.pixels.allSatisfy({ $0 == film.pixels[0] }) { return found }
    if modality == "fundus" && !hasRoundField(film) { found.append("round_field") }
    if modality == "skin" && !hasLesion(film) { found.append("lesion") }
    return found
}

/// Share of a film's pixels whose channels differ by more than `nearGray` levels.
public func colouredShare(_ film: Film) -> Double {
    guard let colour = film.colour else { return 0 }
    let step = max(1, Int((Double(film.width * film.height) / 65536).squareRoot()))
    var all = 0, found = 0
    for y in stride(from: 0, to: film.height, by: step) {
        for x in stride(from: 0, to: film.width, by: step) {
            let at = 3 * (y * film.width + x)
            let channels = (0..<3).map { Int(colour[at + $0]) }
            all += 1
            if channels.max()! - channels.min()! > nearGray { found += 1 }
        }
    }
    return Double(found) / Double(all)
}

/// Whether at least two corners are less than half as bright as the centre, as around the field of a retinal camera.
private func hasRoundField(_ film: Film) -> Bool {
    let channels = thumbnail(film)
    func mean(_ rows: Range<Int>, _ columns: Range<Int>) -> Double {
        var sum = 0.0
        for row in rows {
            for column in columns { sum += channels.map { $0[row * cells + column] }.reduce(0.0, +) / 3 }
        }
        return sum / Double(rows.count * columns.count)
    }
    let ends = [0..<3, (cells - 3)..<cells]
    let centre = mean(8..<24, 8..<24)
    return ends.flatMap { rows in ends.map { mean(rows, $0) } }.filter { $0 < 0.5 * centre }.count >= 2
}

/// Whether a twentieth of the picture lies `lesionLevels` from its median colour.
private func hasLesion(_ film: Film) -> Bool {
    let channels = thumbnail(film)
    let medians = channels.map { quantile($0, 0.5) }
    let away = (0..<(cells * cells)).map { cell -> Double in
        let squares = (0..<3).map { (channels[$0][cell] - medians[$0]) * (channels[$0][cell] - medians[$0]) }
        return squares.reduce(0.0, +).squareRoot()
    }
    return quantile(away, 0.95) >= lesionLevels
}

/// The mean colour of 32 × 32 cells: red, green, blue.
private func thumbnail(_ film: Film) -> [[Double]] {
    return planes(film).map { plane in
        resized(Film(pixels: plane, width: film.width, height: film.height), cells, box).pixels.map { Double($0) }
    }
}

/// Between two values by share, as numpy.percentile has it.
private func quantile(_ values: [Double], _ share: Double) -> Double {
    let sorted = values.sorted()
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    return sorted[below] + (place - Double(below)) * (sorted[min(below + 1, sorted.count - 1)] - sorted[below])
}
