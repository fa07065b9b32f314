// swift-tools-version: 5.7
import PackageDescription

let package = Package(
    name: "Lucency",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Lucency", targets: ["Lucency"])],
    targets: [
        .target(name: "Lucency"),
        .testTarget(name: "LucencyTests", dependencies: ["Lucency"]),
    ]
)
