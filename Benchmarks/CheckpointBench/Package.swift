// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "checkpoint-bench",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "backtrail", path: "../..")],
  targets: [
    .executableTarget(
      name: "checkpoint-bench",
      dependencies: [.product(name: "Backtrail", package: "backtrail")],
      path: "Sources/CheckpointBench",
      swiftSettings: [.swiftLanguageMode(.v6)])
  ]
)
