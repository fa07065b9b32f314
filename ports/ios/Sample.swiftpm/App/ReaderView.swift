import Lucency
import PhotosUI
import SwiftUI

/// Opens the bundle, and reads no film before its golden outputs have been met on this device.
func openReader() throws -> Reader {
    let folder = Bundle.module.url(forResource: "bundle", withExtension: nil)!
    let reader = try Reader(folder: folder)
    let text = try Data(contentsOf: folder.appendingPathComponent("golden/golden.json"))
    let failures = try goldenFailures(reader, JSONDecoder().decode(Golden.self, from: text)) { name in
        try openFilm(Data(contentsOf: folder.appendingPathComponent(name)))
    }
    if !failures.isEmpty { throw BundleError.differs(failures) }
    return reader
}

/// Picks a film, reads it on this device, and shows what was said, how sure, and where.
struct ReaderView: View {
    @State private var reader: Reader?
    @State private var shown: (film: Film, reading: Reading)?
    @State private var picked: PhotosPickerItem?
    @State private var status = "Checking this device against the golden answers…"

    var body: some View {
        ScrollView {
            VStack(alignment: .leading, spacing: 12) {
                Text("Research use only. Not for diagnosis. No film leaves this device.").font(.footnote)
                if let shown = shown, let reader = reader {
                    FilmView(film: shown.film, reading: shown.reading, resizeMode: reader.card.preprocess.resizeMode)
                    Answer(reading: shown.reading, card: reader.card)
                } else {
                    Text(status)
                }
                PhotosPicker("Open a film", selection: $picked, matching: .images).disabled(reader == nil)
                Text(reader?.card.limits.joined(separator: "\n") ?? "").font(.footnote)
            }
            .padding()
        }
        .task { await start() }
        .onChange(of: picked) { item in Task { await read(item) } }
    }

    private func start() async {
        do {
            reader = try await Task.detached { try openReader() }.value
            status = "Open a film"
        } catch {
            status = "No film is read: \(error)"
        }
    }

    private func read(_ item: PhotosPickerItem?) async {
        shown = nil
        guard let item = item, let reader = reader else { return }
        do {
            guard let data = try await item.loadTransferable(type: Data.self) else { throw FilmError.notAnImage }
            shown = try await Task.detached { () -> (film: Film, reading: Reading) in
                let film = try openFilm(data)
                return (film: film, reading: try reader.read(film))
            }.value
        } catch {
            status = "Not read: \(error)"
        }
    }
}

/// The verdict, where it lies on the scale, and the reasons to doubt it.
struct Answer: View {
    let reading: Reading
    let card: Card

    var body: some View {
        VStack(alignment: .leading, spacing: 8) {
            Text(reading.verdict).font(.title)
            if reading.withheld {
                Text("No probability and no map: this is no film of the kind that the reader learned from")
            } else {
                Text("Probability of \(card.labels.last ?? ""): \(percent(reading.probabilities.last ?? 0))")
                Scale(bands: bands(card.rules), probability: reading.probabilities.last ?? 0)
            }
            ForEach(reading.doubts, id: \.self) { Text("• \(words[$0] ?? $0)") }
        }
    }
}

/// The scale from 0 to 1 in the card's bands, each with its word, and where a film lies on it.
struct Scale: View {
    let bands: [Band]
    let probability: Float

    var body: some View {
        GeometryReader { place in
            ForEach(bands, id: \.from) { band in
                Text(band.verdict)
                    .font(.caption)
                    .frame(width: Double(band.to - band.from) * place.size.width, height: place.size.height)
                    .background(band.verdict == "uncertain" ? Color.gray.opacity(0.4) : Color.blue.opacity(0.3))
                    .offset(x: Double(band.from) * place.size.width)
            }
            Rectangle().frame(width: 3).offset(x: Double(probability) * place.size.width)
        }
        .frame(height: 28)
    }
}

/// A probability in words: nobody should read a tenth of a percent into it.
func percent(_ probability: Float) -> String {
    if probability >= 0.99 { return "≥ 99 %" }
    return probability <= 0.01 ? "≤ 1 %" : "\(Int((100 * probability).rounded())) %"
}

/// What a doubt's code means.
let words = [
    "small": "the film has fewer pixels than the network sees",
    "shape": "the film is unusually narrow or wide: it may not be a whole chest",
    "blank": "the film shows nothing: every pixel is the same",
    "unlike": "this film may be laid out unlike those learned from: other patients, another position, part of a chest",
    "layout": "this may be no frontal chest film: another view or part, turned, inverted, or unlike those learned from",
    "upside_down": "this film looks upside down",
    "mirrored": "is this film mirrored? If not, the heart may lie on the right, or it is unlike those learned from",
    "features": "this is unlike the films the network learned from: another machine, very blurred, or other patients",
    "lungs_missing": "two lungs were not found: they may be dense or cut off, or this is another part",
    "lungs_cut": "the lungs reach beyond the edge of this film",
    "lungs_flat": "the lungs show no detail: painted over, or exposed so that nothing can be seen in them",
    "colour": "the picture is in colour and the network knows gray, or the reverse",
    "round_field": "no round field on black is seen, as around a photograph of the retina",
    "lesion": "no spot that differs from the skin around it is seen",
    "head_slice": "no bright head on black is seen, as on a slice of the brain by MRI",
    "lung_slice": "no dark lungs in a bright body are seen, as on a slice of the chest by CT",
    "costs": "to refer this film costs less, on average, than any call",
    "several": "the evidence does not rule out another label",
    "neither": "the evidence lies between the labels, where such films are often read wrongly",
]
