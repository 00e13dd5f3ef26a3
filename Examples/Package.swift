// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as a user's would be: it depends on Backtrail's product and on nothing else.
let package = Package(
  name: "examples",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "backtrail", path: "..")],
  targets: ["own-map", "own-network", "regression", "rewind"].map { name in
    .executableTarget(
      name: name, dependencies: [.product(name: "Backtrail", package: "backtrail")], path: name,
      swiftSettings: [.swiftLanguageMode(.v6)])
  }
)
