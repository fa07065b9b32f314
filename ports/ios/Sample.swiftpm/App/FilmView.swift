import Lucency
import SwiftUI

private let evidence = Color(red: 255 / 255, green: 222 / 255, blue: 70 / 255)
private let boxed = Color(red: 255 / 255, green: 120 / 255, blue: 60 / 255)
private let lungs = Color(red: 120 / 255, green: 190 / 255, blue: 255 / 255)

/// A film with the map over it; a finger on it shows the bare film.
struct FilmView: View {
    let film: Film
    let reading: Reading
    let resizeMode: String
    @GestureState private var bare = false

    var body: some View {
        Canvas { context, size in
            let scale = min(size.width / Double(film.width), size.height / Double(film.height))
            context.translateBy(
                x: (size.width - Double(film.width) * scale) / 2, y: (size.height - Double(film.height) * scale) / 2)
            context.scaleBy(x: scale, y: scale)
            let whole = CGRect(x: 0, y: 0, width: film.width, height: film.height)
            context.clip(to: Path(whole))
            draw(&context, picture(film.pixels, width: film.width, height: film.height), whole)
            if !bare && !reading.withheld { drawMap(&context, 1.5 / scale) }
        }
        .aspectRatio(Double(film.width) / Double(film.height), contentMode: .fit)
        .gesture(DragGesture(minimumDistance: 0).updating($bare) { _, held, _ in held = true })
        .accessibilityLabel("The film with the evidence over it")
    }

    private func draw(_ context: inout GraphicsContext, _ image: CGImage?, _ place: CGRect) {
        guard let image = image else { return }
        context.draw(Image(decorative: image, scale: 1).interpolation(.medium), in: place)
    }

    private func drawMap(_ context: inout GraphicsContext, _ wide: Double) {
        guard let seen = try? window(film.width, film.height, resizeMode) else { return }
        let map = reading.map
        let place = CGRect(x: seen.left, y: seen.top, width: seen.width, height: seen.height)
        draw(&context, picture(veil(map).flatMap { [255, 222, 70, $0] }, width: map.columns, height: map.rows), place)
        context.stroke(path(outline(map), map, place), with: .color(lungs), lineWidth: wide)
        context.stroke(path(contours(map), map, place), with: .color(evidence), lineWidth: wide)
        guard let box = strongest(map) else { return }
        let cell = CGSize(width: place.width / Double(map.columns), height: place.height / Double(map.rows))
        let frame = CGRect(
            x: place.minX + Double(box.left) * cell.width, y: place.minY + Double(box.top) * cell.height,
            width: Double(box.right - box.left) * cell.width, height: Double(box.bottom - box.top) * cell.height)
        context.stroke(Path(frame), with: .color(boxed), lineWidth: 2 * wide)
    }

    private func path(_ lines: [Segment], _ map: EvidenceMap, _ place: CGRect) -> Path {
        let across = place.width / Double(map.columns), down = place.height / Double(map.rows)
        return Path { path in
            for line in lines {
                path.move(to: CGPoint(x: place.minX + Double(line.x1) * across, y: place.minY + Double(line.y1) * down))
                path.addLine(to: CGPoint(x: place.minX + Double(line.x2) * across, y: place.minY + Double(line.y2) * down))
            }
        }
    }
}
