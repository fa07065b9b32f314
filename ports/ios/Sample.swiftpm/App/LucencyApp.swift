import SwiftUI

@main
struct LucencyApp: App {
    var body: some Scene {
        WindowGroup { ReaderView() }
    }
}
