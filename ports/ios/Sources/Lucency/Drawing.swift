// What is drawn over a film, as lucency.paint.overlay draws it: a light veil and contours from the map's own maximum down,
// a box around the strongest place, and the outline of what evidence was read in. Places in cells.

/// Logits below which evidence is faint: drawn as a share of this instead of its own maximum, and not boxed.
public let faint: Float = 1
private let contourShares: [Float] = [0.5, 0.75]
private let veilMost: Float = 0.35, veilFrom: Float = 0.25, boxed: Float = 0.75

/// A map of one finding: rows × columns of signed evidence in logits, zero outside the lungs.
public struct EvidenceMap {
    public let cells: [Float]
    public let rows: Int
    public let columns: Int

    public init(cells: [Float], rows: Int, columns: Int) {
        self.cells = cells
        self.rows = rows
        self.columns = columns
    }

    /// What the drawing falls from.
    public var top: Float { return max(cells.max()!, faint) }
}

/// Cells, `right` and `bottom` not included.
public struct Box: Equatable {
    public let left: Int
    public let top: Int
    public let right: Int
    public let bottom: Int
}

public struct Segment {
    public let x1: Float
    public let y1: Float
    public let x2: Float
    public let y2: Float
}

/// How much of the film each cell's veil hides, 0 to 255: nothing up to a quarter of the strongest evidence.
public func veil(_ map: EvidenceMap) -> [UInt8] {
    let top = map.top
    return map.cells.map { UInt8((255 * veilMost * min(max(($0 / top - veilFrom) / (1 - veilFrom), 0), 1)).rounded()) }
}

/// Around the cells that border on the strongest one and have three quarters of its evidence; nil where all is faint.
public func strongest(_ map: EvidenceMap) -> Box? {
    let most = map.cells.max()!
    if most < faint { return nil }
    var found = [map.cells.firstIndex(of: most)!]
    var next = 0
    while next < found.count {
        let x = found[next] % map.columns, y = found[next] / map.columns
        next += 1
        for v in max(y - 1, 0)...min(y + 1, map.rows - 1) {
            for u in max(x - 1, 0)...min(x + 1, map.columns - 1) {
                let cell = v * map.columns + u
                if map.cells[cell] >= boxed * most && !found.contains(cell) { found.append(cell) }
            }
        }
    }
    let across = found.map { $0 % map.columns }, down = found.map { $0 / map.columns }
    return Box(left: across.min()!, top: down.min()!, right: across.max()! + 1, bottom: down.max()! + 1)
}

/// Contours of the evidence.
public func contours(_ map: EvidenceMap) -> [Segment] {
    return contourShares.flatMap { contour(map.cells, map.rows, map.columns, $0 * map.top) }
}

/// The outline of the cells that carry any evidence: the lungs, where the network reads them alone.
public func outline(_ map: EvidenceMap) -> [Segment] {
    return contour(map.cells.map { $0 == 0 ? 0 : 1 }, map.rows, map.columns, 0.5)
}

/// Where a grid crosses a level, by marching squares (Lorensen & Cline 1987 in two dimensions). Around the grid all lies
/// below the level, so contours close.
public func contour(_ values: [Float], _ rows: Int, _ columns: Int, _ level: Float) -> [Segment] {
    func at(_ x: Int, _ y: Int) -> Float {
        if x < 0 || y < 0 || x >= columns || y >= rows { return -1 }
        let above = values[y * columns + x] - level
        return above == 0 ? -1e-9 : above
    }
    var found: [Segment] = []
    for y in -1..<rows {
        for x in -1..<columns {
            let corners = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)]
            found += crossings(corners, Float(x) + 0.5, Float(y) + 0.5)
        }
    }
    return found
}

/// The segments between four corners, clockwise from (left, top).
private func crossings(_ corners: [Float], _ left: Float, _ top: Float) -> [Segment] {
    let a = corners[0], b = corners[1], c = corners[2], d = corners[3]
    var points: [(x: Float, y: Float)] = []
    if a * b < 0 { points.append((left + a / (a - b), top)) }
    if b * c < 0 { points.append((left + 1, top + b / (b - c))) }
    if d * c < 0 { points.append((left + d / (d - c), top + 1)) }
    if a * d < 0 { points.append((left, top + a / (a - d))) }
    func segment(_ from: Int, _ to: Int) -> Segment {
        return Segment(x1: points[from].x, y1: points[from].y, x2: points[to].x, y2: points[to].y)
    }
    if points.count == 2 { return [segment(0, 1)] }
    if points.count < 4 { return [] }
    // A saddle: what lies above the level stays apart.
    return a > 0 ? [segment(0, 3), segment(1, 2)] : [segment(0, 1), segment(2, 3)]
}

/// Evidence in logits to red, green, blue and cover: blue against, yellow for, nothing at zero.
public func colour(_ logit: Float, limit: Float = 10) -> [UInt8] {
    let share = (127.0 * min(max(Double(logit) / Double(limit), -1.0), 1.0)).rounded() / 127.0
    let end: [Double] = share < 0 ? [8, 40, 110] : [255, 222, 70]
    let mixed = end.map { UInt8((134 + ($0 - 134) * abs(share)).rounded()) }
    return mixed + [UInt8((255 * 0.72 * abs(share)).rounded())]
}
