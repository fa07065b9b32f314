// swift-tools-version: 5.7
// An app that Xcode and Swift Playgrounds open as it is.
import AppleProductTypes
import PackageDescription

let package = Package(
    name: "LucencySample",
    platforms: [.iOS("16.0")],
    products: [
        .iOSApplication(
            name: "lucency",
            targets: ["AppModule"],
            bundleIdentifier: "org.lucency.sample",
            displayVersion: "1.0",
            bundleVersion: "1",
            accentColor: .presetColor(.blue),
            supportedDeviceFamilies: [.pad, .phone],
            supportedInterfaceOrientations: [.portrait, .landscapeRight, .landscapeLeft]
        )
    ],
    dependencies: [.package(path: "..")],
    targets: [
        .executableTarget(
            name: "AppModule",
            dependencies: [.product(name: "Lucency", package: "ios")],
            path: "App",
            resources: [.copy("Resources/bundle")]
        )
    ]
)
