// What a picture must show to be one of its kind, and whether it has colour, as lucency.reader.input_checks has it.

import Foundation

private let nearGray = 16, coloured = 0.1, uncoloured = 0.01
private let cells = 32, lesionLevels = 20.0, bodyLevel = 190.0, mostBetween = 0.16, lungRows = 4
private let texture = 0.12...0.5, lungTexture = 0.14

/// Kinds of picture in colour, by the card's `modality`: the rows of lucency.modality.
private let inColour: Set<String> = ["fundus", "skin", "photograph"]

/// What a kind of picture must show, and whether a film does.
private let sights: [String: (String, (Film) -> Bool)] = [
    "fundus": ("round_field", hasRoundField), "skin": ("lesion", hasLesion),
    "mri_slice": ("head_slice", hasHeadSlice), "ct_slice": ("lung_slice", hasLungSlice),
]

/// Codes of what a picture is not for a reader of this kind: `colour`, and what must be seen and is not.
public func sightDoubts(_ modality: String, _ film: Film) -> [String] {
    let share = colouredShare(film)
    var found = (inColour.contains(modality) ? share < uncoloured : share > coloured) ? ["colour"] : []
    if film.pixels.allSatisfy({ $0 == film.pixels[0] }) { return found }
    if let (code, isThere) = sights[modality], !isThere(film) { found.append(code) }
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
    return darkCorners(levels(film)) >= 2
}

/// How many corners are less than half as bright as the centre.
private func darkCorners(_ small: [Double]) -> Int {
    func mean(_ rows: Range<Int>, _ columns: Range<Int>) -> Double {
        var sum = 0.0
        for row in rows {
            for column in columns { sum += small[row * cells + column] }
        }
        return sum / Double(rows.count * columns.count)
    }
    let ends = [0..<3, (cells - 3)..<cells]
    let centre = mean(8..<24, 8..<24)
    return ends.flatMap { rows in ends.map { mean(rows, $0) } }.filter { $0 < 0.5 * centre }.count
}

/// Whether two corners are dark and what is bright is as varied as a head by MRI.
private func hasHeadSlice(_ film: Film) -> Bool {
    let small = levels(film)
    let mean = small.reduce(0.0, +) / Double(cells * cells)
    return darkCorners(small) >= 2 && texture.contains(step(small) / mean)
}

/// The mean difference of a cell from the mean of its four neighbours.
private func step(_ small: [Double]) -> Double {
    var steps = 0.0
    for row in 1..<(cells - 1) {
        for column in 1..<(cells - 1) {
            let at = row * cells + column
            let around = small[at - cells] + small[at + cells] + small[at - 1] + small[at + 1]
            steps += abs(small[at] - around / 4)
        }
    }
    return steps / Double((cells - 2) * (cells - 2))
}

/// Whether cells are air or body, hardly between, with air left and right of a middle.
private func hasLungSlice(_ film: Film) -> Bool {
    let small = levels(film)
    let (air, body) = twoLevels(small)
    let quarter = (body - air) / 4
    let between = small.filter { $0 > air + quarter && $0 < body - quarter }.count
    var rows = 0
    for row in 0..<cells {
        let dark = (0..<cells).map { small[row * cells + $0] < (air + body) / 2 }
        let ends = (1..<cells).filter { dark[$0 - 1] && !dark[$0] }.count
        if ends - (dark[0] ? 1 : 0) >= 2 { rows += 1 }
    }
    let large = step(small) <= lungTexture * (body - air)
    return body >= bodyLevel && Double(between) <= mostBetween * Double(cells * cells) && rows >= lungRows && large
}

/// The mean levels of the dark and of the bright cells, split where these differ most (Otsu 1979).
private func twoLevels(_ small: [Double]) -> (Double, Double) {
    let ordered = small.sorted()
    let n = ordered.count
    let total = ordered.reduce(0.0, +)
    var dark = 0.0, best = -1.0
    var found = (0.0, 0.0)
    for below in 1..<n {
        dark += ordered[below - 1]
        let away = total * Double(below) / Double(n) - dark
        let apart = away * away / Double(below * (n - below))
        if apart > best {
            best = apart
            found = (dark / Double(below), (total - dark) / Double(n - below))
        }
    }
    return found
}

/// The mean of red, green and blue of 32 × 32 cells.
private func levels(_ film: Film) -> [Double] {
    let channels = thumbnail(film)
    return (0..<(cells * cells)).map { cell -> Double in
        let sum: Double = channels[0][cell] + channels[1][cell] + channels[2][cell]
        return sum / 3
    }
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
