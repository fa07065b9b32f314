import Foundation
import ImageIO
import Lucency
import UIKit

enum FilmError: Error { case notAnImage }

/// Pixels as stored, at full size, turned as the file's EXIF says. The colour space of the file is not applied: the
/// image is redrawn as sRGB over sRGB, so that nothing converts.
func openFilm(_ data: Data) throws -> Film {
    guard let source = CGImageSourceCreateWithData(data as CFData, nil),
        let stored = CGImageSourceCreateImageAtIndex(source, 0, nil)
    else { throw FilmError.notAnImage }
    let facts = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any]
    let orientation = facts?[kCGImagePropertyOrientation] as? Int ?? 1
    return upright(try film(stored), orientation: orientation)
}

private func film(_ image: CGImage) throws -> Film {
    let width = image.width, height = image.height, gray = image.colorSpace?.model == .monochrome
    let space = gray ? CGColorSpaceCreateDeviceGray() : CGColorSpace(name: CGColorSpace.sRGB)!
    let alpha = gray ? CGImageAlphaInfo.none : CGImageAlphaInfo.noneSkipLast
    var pixels = [UInt8](repeating: 0, count: width * height * (gray ? 1 : 4))
    let drawn = pixels.withUnsafeMutableBytes { bytes -> Bool in
        guard
            let plain = image.copy(colorSpace: space),
            let context = CGContext(
                data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8,
                bytesPerRow: width * (gray ? 1 : 4), space: space, bitmapInfo: alpha.rawValue)
        else { return false }
        context.interpolationQuality = .none
        context.draw(plain, in: CGRect(x: 0, y: 0, width: width, height: height))
        return true
    }
    guard drawn else { throw FilmError.notAnImage }
    if gray { return Film(pixels: pixels, width: width, height: height) }
    return Film(pixels: Lucency.gray(rgba: pixels), width: width, height: height, colour: rgb(rgba: pixels))
}

/// Bytes as a picture: gray, one a pixel, or RGBA, four, not premultiplied.
func picture(_ pixels: [UInt8], width: Int, height: Int) -> CGImage? {
    let channels = pixels.count / (width * height)
    guard let provider = CGDataProvider(data: Data(pixels) as CFData) else { return nil }
    return CGImage(
        width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 8 * channels, bytesPerRow: width * channels,
        space: channels == 1 ? CGColorSpaceCreateDeviceGray() : CGColorSpace(name: CGColorSpace.sRGB)!,
        bitmapInfo: CGBitmapInfo(rawValue: (channels == 1 ? CGImageAlphaInfo.none : .last).rawValue),
        provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
}
